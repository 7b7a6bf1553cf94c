"""House rules: what the practice has decided for all its appointments."""

from typing import Any

from pydantic import create_model

from storage import house_rules, policy
from storage.house_rules import HouseRules
from web.api.fields import Request
from web.api.operations import Call, operation

_FIELDS: dict[str, Any] = {name: (field.annotation, field) for name, field in HouseRules.model_fields.items()}
HouseRulesIn = create_model("HouseRulesIn", __base__=Request, **_FIELDS)


@operation("GET", "/house-rules", "What the practice has decided", HouseRules)
def read_house_rules(call: Call) -> HouseRules:
    policy.require(call.actor, "rules.read")
    return _whole(house_rules.current(call.session))


@operation("PATCH", "/house-rules", "Change some house rules (admins)", HouseRules, body=HouseRulesIn)
def change_house_rules(call: Call, body: Request) -> HouseRules:
    policy.require(call.actor, "settings.write")
    return _whole(house_rules.change(call.session, body.model_dump(exclude_unset=True), now=call.now))


def _whole(rules: HouseRules) -> HouseRules:
    """With the defaults said."""
    return HouseRules.model_validate(rules.model_dump())
