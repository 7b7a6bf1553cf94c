"""Who asks: app passwords, and nothing else. RFC 7617; Radicale's auth plugin."""

from typing import Any

from radicale.auth import AuthContext, BaseAuth

from caldav_bridge.context import current
from storage import credentials


class Auth(BaseAuth):
    def _login_ext(self, login: str, password: str, context: AuthContext) -> str:
        """The username behind an app password; empty when it is unknown or revoked."""
        request = current()
        agent = request.header("User-Agent")
        found = credentials.check_app_password(request.session, login, password, agent, request.now)
        if found is None:
            return ""
        request.login(*found)
        return found[0].username

    def _sleep_for_constant_exec_time(self, *_args: Any) -> None:
        """Radicale would sleep as long as the slowest failure ever took. An app password is found by one indexed
        lookup and has 128 random bits: there is nothing to hide and nothing to slow down."""
