// Run in Thunderbird's main window. Edits go through what its own views call: calendarViewController, doTransaction.
/* global cal, calendarViewController, doTransaction, switchToView, currentView */

const VIENNA = "Europe/Vienna";

window.clinic = {
  // Windows that opened since the last look, by name
  opened: [],
  // What the calendar code complained of
  complaints: [],
  // What the user types when asked for a password, and answers when asked whether to overwrite
  password: "",
  overwrite: false,

  async onWindow(win) {
    await new Promise(resolve => win.addEventListener("load", resolve, { once: true }));
    const name = win.location.href.split("/").pop();
    this.opened.push(name);
    if (name.startsWith("commonDialog") && this.password) {
      win.document.getElementById("password1Textbox").value = this.password;
      win.setTimeout(() => win.document.getElementById("commonDialog").acceptDialog(), 100);
    } else if (name.startsWith("calendar-conflicts-dialog")) {
      // It is modal: nothing goes on until it is closed.
      const dialog = win.document.querySelector("dialog");
      win.setTimeout(() => (this.overwrite ? dialog.acceptDialog() : dialog.cancelDialog()), 300);
    }
  },

  now: () => Date.now(),

  async until(what, found, seconds = 20) {
    const end = Date.now() + seconds * 1000;
    for (;;) {
      const value = await found();
      if (value) {
        return value;
      }
      if (Date.now() > end) {
        throw new Error(`not within ${seconds} s: ${what}`);
      }
      await new Promise(resolve => window.setTimeout(resolve, 100));
    }
  },

  calendar(name) {
    const found = cal.manager.getCalendars().find(each => each.name == name);
    if (!found) {
      throw new Error(`no calendar ${name}: ${cal.manager.getCalendars().map(each => each.name)}`);
    }
    return found;
  },

  calendars() {
    return cal.manager.getCalendars().map(each => ({
      name: each.name,
      path: each.uri.pathQueryRef,
      color: each.getProperty("color"),
      readOnly: each.readOnly,
      disabled: Boolean(each.getProperty("disabled")),
      tasks: each.getProperty("capabilities.tasks.supported") !== false,
      events: each.getProperty("capabilities.events.supported") !== false,
    }));
  },

  // Read while it still writes, an item is kept in memory half old and half new.
  refresh(name) {
    const calendar = this.calendar(name);
    return new Promise(resolve => {
      const done = () => {
        calendar.removeObserver(observer);
        resolve();
      };
      const ignored = ["onStartBatch", "onEndBatch", "onAddItem", "onModifyItem", "onDeleteItem", "onError"];
      const observer = {
        QueryInterface: ChromeUtils.generateQI(["calIObserver"]),
        ...Object.fromEntries([...ignored, "onPropertyChanged", "onPropertyDeleting"].map(name => [name, () => {}])),
        onLoad: done,
      };
      calendar.addObserver(observer);
      calendar.refresh();
      window.setTimeout(done, 10000);
    });
  },

  items(name) {
    return this.calendar(name).getItemsAsArray(
      Ci.calICalendar.ITEM_FILTER_ALL_ITEMS, 0, null, null
    );
  },

  async find(name, uid) {
    return (await this.items(name)).find(each => each.id.startsWith(uid));
  },

  // Thunderbird takes an item out of its cache and puts it back when it has fetched the server's.
  item(name, uid) {
    return this.until(`${uid} is in ${name}`, () => this.find(name, uid), 5);
  },

  // The occurrence of a series that begins at this moment.
  async occurrence(name, uid, milliseconds) {
    const start = this.time(milliseconds);
    const found = (await this.item(name, uid)).recurrenceInfo.getOccurrenceFor(start);
    if (found.startDate.compare(start) != 0) {
      throw new Error(`no occurrence at ${start}`);
    }
    return found;
  },

  time(milliseconds) {
    const zone = cal.timezoneService.getTimezone(VIENNA);
    return cal.dtz.jsDateToDateTime(new Date(milliseconds), zone);
  },

  told(item) {
    const moment = each => each && cal.dtz.dateTimeToJsDate(each).getTime();
    return {
      uid: item.id,
      title: item.title,
      status: item.status,
      start: moment(item.startDate || item.entryDate),
      end: moment(item.endDate || item.dueDate),
      categories: item.getCategories(),
      description: item.getProperty("DESCRIPTION"),
      exceptions: item.recurrenceInfo ? item.recurrenceInfo.getExceptionIds().length : 0,
      exdates: item.recurrenceInfo
        ? item.recurrenceInfo.getRecurrenceItems().filter(each => each.isNegative).length
        : 0,
      completed: Boolean(item.isCompleted),
    };
  },

  drag(item, start, end) {
    calendarViewController.modifyOccurrence(item, this.time(start), this.time(end), null);
  },

  rename(item, title) {
    calendarViewController.modifyOccurrence(item, null, null, title);
  },

  change(item, edit) {
    const changed = item.clone();
    edit(changed);
    doTransaction("modify", changed, changed.calendar, item, null);
  },

  remove(item) {
    calendarViewController.deleteOccurrences([item], false, true);
  },

  snooze(item, minutes) {
    const service = Cc["@mozilla.org/calendar/alarm-service;1"].getService(Ci.calIAlarmService);
    const duration = cal.createDuration(`PT${minutes}M`);
    service.snoozeAlarm(item, item.getAlarms()[0], duration);
  },

  // The dialog "Create New Calendar", filled in as a user would.
  async addAccount(location, username, password) {
    this.password = password;
    cal.window.openCalendarWizard(window, () => {});
    const dialog = await this.until("the dialog opens", () => {
      const win = Services.wm.getMostRecentWindow(null);
      return win.location.href.endsWith("calendar-creation.xhtml") && win.document.readyState == "complete" && win;
    });
    const part = id => dialog.document.getElementById(id);
    const next = () => part("calendar-creation-dialog").acceptDialog();
    await this.until("its type can be chosen", () => !part("panel-select-calendar-type").hidden);
    part("calendar-type").value = "network";
    next();
    await this.until("its fields", () => !part("panel-network-calendar-settings").hidden);
    for (const [id, text] of [["network-username-input", username], ["network-location-input", location]]) {
      part(id).value = text;
      part(id).dispatchEvent(new dialog.Event("input"));
    }
    next();
    await this.until("calendars are found", () => !part("panel-select-calendars").hidden, 60);
    this.password = "";
    return dialog;
  },

  async takeFound(dialog) {
    const names = [...dialog.document.querySelectorAll("#network-calendar-list .calendar-name")].map(each => each.value);
    dialog.document.getElementById("calendar-creation-dialog").acceptDialog();
    await this.until("the dialog closes", () => dialog.closed);
    return names;
  },

  // The titles that the view draws
  drawn() {
    const boxes = currentView().querySelectorAll("calendar-event-box, calendar-editable-item");
    return [...boxes].filter(each => each.occurrence).map(each => each.occurrence.title);
  },

  async showWeek(milliseconds) {
    document.getElementById("calendarButton").click();
    await this.until("the calendar is shown", () => currentView());
    // Room for the week: neither the list of events nor today's
    for (const id of ["bottom-events-box", "today-pane-panel", "calendar-view-splitter"]) {
      document.getElementById(id).hidden = true;
    }
    switchToView("week");
    currentView().workdaysOnly = true;
    currentView().goToDay(this.time(milliseconds));
  },
};

// Switched off by the remote protocol
Services.prefs.setBoolPref("signon.rememberSignons", true);
Services.obs.addObserver({ observe: win => window.clinic.onWindow(win) }, "domwindowopened");
Cc["@mozilla.org/consoleAPI-storage;1"].getService(Ci.nsIConsoleAPIStorage).addLogEventListener(
  message => {
    const said = message.wrappedJSObject;
    if (said.prefix == "calendar" && ["warn", "error"].includes(said.level)) {
      window.clinic.complaints.push(said.arguments.map(String).join(" "));
    }
  },
  Cc["@mozilla.org/systemprincipal;1"].createInstance(Ci.nsIPrincipal)
);
