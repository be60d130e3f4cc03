// Two pages of one browser, each a phone, talk to each other through the server.
//
// Usage: node driver.mjs '{"chromium": …, "phone": "jssip_phone.js", "scenario": "call", "websocket": …, …}'
// Prints each step; leaves with 0 when all of them went well. The packages come from NODE_MODULES.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const settings = JSON.parse(process.argv[2]);
const here = dirname(fileURLToPath(import.meta.url));
const packages = createRequire(join(settings.packages, "package.json"));
const { build } = packages("esbuild");
const { chromium } = packages("playwright-core");

const PATIENCE = 10_000;

const bundle = await build({
  entryPoints: [join(here, settings.phone)],
  bundle: true,
  write: false,
  format: "iife",
  logLevel: "error",
  define: { global: "globalThis" },
  nodePaths: [join(settings.packages, "node_modules")],
});
const script = bundle.outputFiles[0].text;

// A page from loopback may use the microphone without TLS, and connect to other loopback ports.
const site = createServer((request, response) => {
  const isScript = request.url === "/phone.js";
  response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
  response.end(isScript ? script : readFileSync(join(here, "page.html")));
});
await new Promise((listening) => site.listen(0, "127.0.0.1", listening));
const origin = `http://127.0.0.1:${site.address().port}`;

const browser = await chromium.launch({
  executablePath: settings.chromium,
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
  ],
});

function step(text) {
  console.log(`step: ${text}`);
}

function within(what, promise) {
  const late = new Promise((_, reject) =>
    setTimeout(() => reject(new Error(`${what}: no answer within ${PATIENCE} ms`)), PATIENCE).unref(),
  );
  return Promise.race([promise, late]);
}

async function phone(user, password) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  await context.grantPermissions(["microphone"], { origin });
  const page = await context.newPage();
  page.on("console", (message) => console.log(`${user}: ${message.text()}`));
  page.on("pageerror", (error) => console.log(`${user}: ${error.stack}`));
  page.on("websocket", (socket) => {
    socket.on("framesent", ({ payload }) => console.log(`${user} sent:\n${payload}`));
    socket.on("framereceived", ({ payload }) => console.log(`${user} received:\n${payload}`));
  });
  await page.goto(`${origin}/`);
  const uri = `sip:${user}@${settings.domain}`;
  await page.evaluate((options) => { globalThis.phone = new Phone(options); }, {
    uri,
    password,
    websocket: settings.websocket,
  });
  return {
    user,
    uri,
    page,
    ask: (method, ...args) =>
      within(`${user} ${method}`, page.evaluate(([method, args]) => globalThis.phone[method](...args), [method, args])),
    until: (what, condition, arg) => {
      step(`${user}: ${what}`);
      return page.waitForFunction(condition, arg, { timeout: PATIENCE });
    },
  };
}

async function registered(user) {
  const one = await phone(user, settings.users[user]);
  assert.equal(await one.ask("register"), 200);
  step(`${user} is registered`);
  return one;
}

const scenarios = {
  async messages() {
    const alice = await registered("alice");
    const bob = await registered("bob");
    assert.equal(await alice.ask("options", bob.uri), 200);
    step("bob answered OPTIONS");
    assert.equal(await alice.ask("message", bob.uri, "the old bridge"), 200);
    await bob.until("gets the message", () => phone.messages.includes("the old bridge"));
    assert.equal(await bob.ask("message", alice.uri, "at noon"), 200);
    await alice.until("gets the reply", () => phone.messages.includes("at noon"));
    await bob.ask("leave");
    step("bob left");
    await assert.rejects(alice.ask("message", bob.uri, "where are you?"), /480/);
  },

  async call() {
    const alice = await registered("alice");
    const bob = await registered("bob");
    await alice.ask("call", bob.uri);
    for (const one of [alice, bob]) {
      await one.until("the call is up", () => phone.callState() === "confirmed");
    }
    for (const one of [alice, bob]) {
      await one.until("hears something", async () => {
        const reports = [...(await phone.peerConnection().getStats()).values()];
        return reports.some((report) => report.type === "inbound-rtp" && report.packetsReceived > 0);
      });
    }
    const [first, second] = settings.callee_hangs_up ? [bob, alice] : [alice, bob];
    await first.ask("hangUp");
    await second.until("the call has ended", () => phone.callState() === "ended");
  },

  async wrong_password() {
    const alice = await phone("alice", "wrong");
    await assert.rejects(alice.ask("register"), /40[13]/);
  },
};

try {
  await scenarios[settings.scenario]();
  step("all went well");
} catch (error) {
  console.log(`FAILED: ${error.stack}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  site.close();
  site.closeAllConnections();
}
