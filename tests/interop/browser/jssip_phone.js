// A phone on JsSIP, with the face that driver.mjs knows. The twin is sipjs_phone.js.
import JsSIP from "jssip";

const media = {
  mediaConstraints: { audio: true, video: false },
  pcConfig: { iceServers: [] },
};

export class Phone {
  constructor({ uri, password, websocket }) {
    this.messages = [];
    this.calls = [];
    this.agent = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(websocket)],
      uri,
      password,
      register: true,
      session_timers: false,
    });
    this.agent.on("newMessage", ({ originator, request }) => {
      if (originator === "remote") this.messages.push(request.body);
    });
    this.agent.on("newRTCSession", ({ originator, session }) => {
      const call = { session, state: "new" };
      this.calls.push(call);
      session.on("confirmed", () => (call.state = "confirmed"));
      session.on("ended", () => (call.state = "ended"));
      session.on("failed", ({ cause }) => (call.state = `failed: ${cause}`));
      if (originator === "remote") session.answer(media);
    });
  }

  register() {
    return new Promise((resolve, reject) => {
      this.agent.on("registered", ({ response }) => resolve(response.status_code));
      this.agent.on("registrationFailed", ({ cause, response }) =>
        reject(new Error(`registration failed: ${cause} ${response?.status_code}`)),
      );
      this.agent.start();
    });
  }

  options(target) {
    return this.#request("sendOptions", target, undefined);
  }

  message(target, text) {
    return this.#request("sendMessage", target, text);
  }

  call(target) {
    this.agent.call(target, media);
  }

  callState() {
    return this.calls.at(-1)?.state ?? "none";
  }

  peerConnection() {
    return this.calls.at(-1).session.connection;
  }

  hangUp() {
    this.calls.at(-1).session.terminate();
  }

  leave() {
    return new Promise((resolve) => {
      this.agent.on("unregistered", () => resolve());
      this.agent.unregister({ all: true });
    });
  }

  #request(method, target, body) {
    return new Promise((resolve, reject) => {
      const eventHandlers = {
        succeeded: ({ response }) => resolve(response.status_code),
        failed: ({ cause, response }) => reject(new Error(`${method}: ${cause} ${response?.status_code}`)),
      };
      this.agent[method](target, body, { eventHandlers });
    });
  }
}

globalThis.Phone = Phone;
