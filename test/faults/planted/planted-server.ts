/* The server with a bug in it: `node --import tsx planted-server.ts BUG [flags of the server]`. */
import { main } from "../../../server/src/main.js";
import { plantBug } from "./planted-bugs.js";

plantBug(process.argv.splice(2, 1)[0] ?? "");
await main();
