// Reads an MLmodel file, and says what its card shows.

import { CORE_SCHEMA, load } from "../vendor/js-yaml-5.5.0/js-yaml.mjs";
import { answer } from "./answering.js";
import { cardOf } from "./mlmodel_card.js";

answer((text) => cardOf(load(text, { schema: CORE_SCHEMA })));
