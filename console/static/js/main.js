/* What every page has: live values, keys, times, dialogs. */
import { mount as mountCopy } from "./copy.js";
import { mount as mountDialogs } from "./dialogs.js";
import { mount as mountForms } from "./forms.js";
import { mount as mountKeys } from "./keys.js";
import { mount as mountLive } from "./live.js";
import { mount as mountTimes } from "./times.js";

mountTimes(document);
mountDialogs(document);
mountLive(document);
mountKeys(document);
mountForms(document);
mountCopy(document);
