const { execSync } = require("child_process");
execSync("openclaw gateway restart");
