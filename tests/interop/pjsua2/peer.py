"""A PJSUA2 phone that is driven by lines of JSON: orders on standard input, events on standard output.

Its sound is a WAV file that it plays and one that it records. One thread: orders are taken between two turns of the
library's own loop, because the library is not to be called from others.
"""

import json
import os
import queue
import sys
import threading

import pjsua2 as pj

settings = json.loads(sys.argv[1])


def tell(event, **data):
    print(json.dumps({"event": event, **data}), flush=True)


class Call(pj.Call):
    player = None
    recorder = None

    def onCallState(self, _):
        info = self.getInfo()
        tell("state", state=info.stateText, status=info.lastStatusCode, reason=info.lastReason)
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            # The files are whole only when nobody writes them any more.
            self.player = None
            self.recorder = None

    def onCallMediaState(self, _):
        # What is raised in a callback is not seen by anybody.
        try:
            self.connect_sound()
        except Exception as error:
            tell("error", order="sound", reason=repr(error))

    def connect_sound(self):
        # Kept as long as its parts are looked at: they do not keep it.
        info = self.getInfo()
        for media in info.media:
            if media.type != pj.PJMEDIA_TYPE_AUDIO:
                continue
            tell("media", status=media.status, direction=media.dir)
            if media.status != pj.PJSUA_CALL_MEDIA_ACTIVE:
                continue
            audio = self.getAudioMedia(media.index)
            if self.player is None:
                self.player = pj.AudioMediaPlayer()
                self.player.createPlayer(settings["play"])
                self.recorder = pj.AudioMediaRecorder()
                self.recorder.createRecorder(settings["record"])
            self.player.startTransmit(audio)
            audio.startTransmit(self.recorder)
            stream = self.getStreamInfo(media.index)
            transport = self.getMedTransportInfo(media.index)
            tell("stream", codec=stream.codecName, rate=stream.codecClockRate, remote=stream.remoteRtpAddress,
                 source=transport.srcRtpName)

    def onDtmfDigit(self, digit):
        tell("digit", digit=digit.digit)

    def onCallTransferRequest(self, request):
        tell("transfer", target=request.dstUri)


class Account(pj.Account):
    calls = []

    def onIncomingCall(self, incoming):
        call = Call(self, incoming.callId)
        self.calls.append(call)
        tell("incoming", remote=call.getInfo().remoteUri)
        answer(call, 180)
        if settings.get("answer"):
            answer(call, settings["answer"])

    def onRegState(self, state):
        tell("registration", status=state.code)

    def onInstantMessage(self, message):
        tell("message", remote=message.fromUri, type=message.contentType, text=message.msgBody)


def answer(call, status):
    parameters = pj.CallOpParam()
    parameters.statusCode = status
    call.answer(parameters)


def obey(account, order):
    name = order["order"]
    if name == "call":
        call = Call(account)
        account.calls.append(call)
        call.makeCall(order["uri"], pj.CallOpParam(True))
        return
    if name == "message":
        buddy = pj.Buddy()
        config = pj.BuddyConfig()
        config.uri = order["uri"]
        buddy.create(account, config)
        account.calls.append(buddy)
        parameters = pj.SendInstantMessageParam()
        parameters.content = order["text"]
        buddy.sendInstantMessage(parameters)
        return
    call = [call for call in account.calls if isinstance(call, Call)][-1]
    parameters = pj.CallOpParam(True)
    if name == "answer":
        answer(call, order["status"])
    elif name == "hold":
        call.setHold(parameters)
    elif name == "unhold":
        parameters.opt.flag = pj.PJSUA_CALL_UNHOLD
        call.reinvite(parameters)
    elif name == "reinvite":
        call.reinvite(parameters)
    elif name == "codec":
        # The others are left out of offers and answers from now on.
        for codec in account.endpoint.codecEnum2():
            wanted = order["codec"].lower() in codec.codecId.lower()
            account.endpoint.codecSetPriority(codec.codecId, 255 if wanted else 0)
    elif name == "digits":
        call.dialDtmf(order["digits"])
    elif name == "transfer":
        call.xfer(order["uri"], parameters)
    elif name == "statistics":
        statistics = call.getStreamStat(0).rtcp
        tell("statistics", sent=statistics.txStat.pkt, received=statistics.rxStat.pkt, lost=statistics.rxStat.loss)
    elif name == "hangup":
        call.hangup(pj.CallOpParam())


def main():
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.logConfig.level = 4
    config.logConfig.consoleLevel = 0
    config.logConfig.msgLogging = 1
    config.logConfig.filename = settings["log"]
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.medConfig.noVad = True
    config.medConfig.ecTailLen = 0
    endpoint.libInit(config)
    transport = pj.TransportConfig()
    transport.port = settings["port"]
    transport.boundAddress = "127.0.0.1"
    endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    endpoint.audDevManager().setNullDev()
    endpoint.libStart()
    if settings.get("codec"):
        for codec in endpoint.codecEnum2():
            wanted = settings["codec"].lower() in codec.codecId.lower()
            endpoint.codecSetPriority(codec.codecId, 255 if wanted else 0)

    account_config = pj.AccountConfig()
    account_config.idUri = settings["id"]
    account_config.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
    account_config.mediaConfig.transportConfig.port = settings["rtp"]
    account_config.mediaConfig.srtpUse = settings.get("srtp", 0)
    account_config.mediaConfig.srtpSecureSignaling = 0
    if settings.get("registrar"):
        account_config.regConfig.registrarUri = settings["registrar"]
        credentials = pj.AuthCredInfo("digest", "*", settings["user"], 0, settings["password"])
        account_config.sipConfig.authCreds.append(credentials)
    account = Account()
    account.endpoint = endpoint
    account.create(account_config)
    tell("ready")

    orders = queue.Queue()

    def read():
        for line in sys.stdin:
            orders.put(json.loads(line))
        orders.put({"order": "quit"})

    threading.Thread(target=read, daemon=True).start()
    while True:
        endpoint.libHandleEvents(10)
        try:
            order = orders.get_nowait()
        except queue.Empty:
            continue
        if order["order"] == "quit":
            break
        try:
            obey(account, order)
        except pj.Error as error:
            tell("error", order=order["order"], reason=error.reason)
    account.calls.clear()
    # Its end is not what is tested; some versions of the library crash in it.
    os._exit(0)


main()
