// A phone on SIP.js, with the face that driver.mjs knows. The twin is jssip_phone.js.
import { Inviter, Messager, Registerer, RegistererState, SessionState, UserAgent } from "sip.js";

export class Phone {
  constructor({ uri, password, websocket }) {
    this.messages = [];
    this.calls = [];
    this.agent = new UserAgent({
      uri: UserAgent.makeURI(uri),
      authorizationUsername: UserAgent.makeURI(uri).user,
      authorizationPassword: password,
      transportOptions: { server: websocket },
      sessionDescriptionHandlerFactoryOptions: {
        peerConnectionConfiguration: { iceServers: [] },
        iceGatheringTimeout: 500,
      },
      delegate: {
        onMessage: (message) => {
          this.messages.push(message.request.body);
          message.accept();
        },
        onInvite: (invitation) => {
          this.#watch(invitation);
          invitation.accept({ sessionDescriptionHandlerOptions: { constraints: { audio: true, video: false } } });
        },
      },
    });
    this.registerer = new Registerer(this.agent);
  }

  async register() {
    await this.agent.start();
    return this.#answer((requestDelegate) => this.registerer.register({ requestDelegate }));
  }

  options(target) {
    const core = this.agent.userAgentCore;
    const to = UserAgent.makeURI(target);
    const message = core.makeOutgoingRequestMessage("OPTIONS", to, this.agent.configuration.uri, to, {});
    return this.#answer((delegate) => core.request(message, delegate));
  }

  message(target, text) {
    const messager = new Messager(this.agent, UserAgent.makeURI(target), text);
    return this.#answer((requestDelegate) => messager.message({ requestDelegate }));
  }

  call(target) {
    const inviter = new Inviter(this.agent, UserAgent.makeURI(target), {
      sessionDescriptionHandlerOptions: { constraints: { audio: true, video: false } },
    });
    const call = this.#watch(inviter);
    const onReject = ({ message }) => (call.state = `failed: ${message.statusCode}`);
    inviter.invite({ requestDelegate: { onReject } });
  }

  callState() {
    return this.calls.at(-1)?.state ?? "none";
  }

  peerConnection() {
    return this.calls.at(-1).session.sessionDescriptionHandler.peerConnection;
  }

  hangUp() {
    this.calls.at(-1).session.bye();
  }

  leave() {
    return new Promise((resolve) => {
      this.registerer.stateChange.addListener((state) => {
        if (state === RegistererState.Unregistered) resolve();
      });
      this.registerer.unregister();
    });
  }

  #watch(session) {
    const call = { session, state: "new" };
    this.calls.push(call);
    session.stateChange.addListener((state) => {
      if (state === SessionState.Established) call.state = "confirmed";
      else if (state === SessionState.Terminated && call.state === "confirmed") call.state = "ended";
    });
    return call;
  }

  #answer(send) {
    return new Promise((resolve, reject) => {
      send({
        onAccept: ({ message }) => resolve(message.statusCode),
        onReject: ({ message }) => reject(new Error(`answered ${message.statusCode}`)),
      });
    });
  }
}

globalThis.Phone = Phone;
