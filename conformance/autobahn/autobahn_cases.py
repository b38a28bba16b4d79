#!/usr/bin/env python3
"""Runs cases of the Autobahn test suite against a WebSocket echo server.

    autobahn_cases.py --url ws://127.0.0.1:9001 --out report.json --cases '1.*,2.*' --exclude '2.9'

Exits 0 if every case ran and passed, 1 if one did not, 2 if the server could not be reached.
"""

import argparse
import collections
import json
import sys
import tempfile
import time
import warnings

warnings.simplefilter("ignore")

import convert

# What a case may end as. "INFORMATIONAL" has no right answer by the specification.
PASSED = {"OK", "INFORMATIONAL"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--out", required=True, help="the report, as JSON")
    parser.add_argument("--cases", default="*", help="comma-separated patterns")
    parser.add_argument("--exclude", default="", help="comma-separated patterns")
    return parser.parse_args()


def patterns(text):
    return [pattern for pattern in text.split(",") if pattern]


def to_bytes(value):
    return value.encode("latin-1") if isinstance(value, str) else value


def to_str(value):
    return value.decode("latin-1") if isinstance(value, (bytes, bytearray)) else value


def protocol_class():
    """One connection, which is one case. Defined late: its base is importable only when installed."""
    from autobahn.twisted.websocket import WebSocketClientProtocol
    from autobahn.websocket.protocol import WebSocketProtocol
    from twisted.internet import reactor

    class CaseProtocol(WebSocketClientProtocol):
        def connectionMade(self):
            self.connectionWasOpen = False
            self.started = time.monotonic()
            self.createWirelog = True
            self.rxFrameStats = collections.Counter()
            self.txFrameStats = collections.Counter()
            super().connectionMade()

        # The suite's own protocol logs; the cases call these.
        def enableWirelog(self, enabled):
            pass

        def logRxOctets(self, data):
            pass

        def logTxOctets(self, data, sync):
            pass

        def logRxFrame(self, header, payload):
            self.rxFrameStats[header.opcode] += 1

        def logTxFrame(self, header, *rest):
            self.txFrameStats[header.opcode] += 1

        # What the cases send: strings of one character per byte.
        def sendFrame(self, opcode, payload=b"", fin=True, rsv=0, mask=None, payload_len=None, chopsize=None, sync=False):
            payload = to_bytes(payload)
            if payload_len is not None:
                payload = (payload * (payload_len // len(payload) + 1))[:payload_len]
            return super().sendFrame(opcode, payload, fin, rsv, to_bytes(mask), None, chopsize, sync)

        def sendMessage(self, payload, *rest, **named):
            return super().sendMessage(to_bytes(payload), *rest, **named)

        def sendMessageFrameData(self, payload, sync=False):
            return super().sendMessageFrameData(to_bytes(payload), sync)

        def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
            return super().sendCloseFrame(code, to_bytes(reasonUtf8), isReply)

        # What the cases are told.
        def onConnect(self, response):
            pass

        def onOpen(self):
            self.connectionWasOpen = True
            self.started = time.monotonic()
            self.runCase.onOpen()

        def onMessage(self, message, binary):
            raw = getattr(self.runCase, "_raw", False)
            self.runCase.onMessage(message if raw else to_str(message), binary)

        def onPing(self, payload):
            self.runCase.onPing(to_str(payload))
            self.sendPong(payload)

        def onPong(self, payload):
            self.runCase.onPong(to_str(payload))

        def onClose(self, wasClean, code, reason):
            self.runCase.onClose(wasClean, code, reason)

        def connectionLost(self, reason):
            super().connectionLost(reason)
            self.runCase.onConnectionLost(self.failedByMe)
            self.factory.note(self, self.runCase)

        # The cases' timers; they lapse with the connection.
        def later(self, seconds, action):
            def act():
                if self.state != WebSocketProtocol.STATE_CLOSED:
                    action()

            reactor.callLater(seconds, act)

        def continueLater(self, seconds, action, tag=None):
            self.later(seconds, action)

        def killAfter(self, seconds):
            self.later(seconds, self.failConnection)

        def closeAfter(self, seconds):
            self.later(seconds, self.sendClose)

    return CaseProtocol


def run(options):
    """Runs the cases one after another; the process's exit code."""
    from abcases.case import CaseBasename, CaseCategories, Cases, CaseSetname, CaseSubCategories
    from abcases.caseset import CaseSet
    from autobahn.twisted.websocket import WebSocketClientFactory, connectWS
    from twisted.internet import reactor

    all_cases = CaseSet(CaseSetname, CaseBasename, Cases, CaseCategories, CaseSubCategories)
    wanted = all_cases.parseSpecCases(
        {"cases": patterns(options.cases), "exclude-cases": patterns(options.exclude)}
    )

    class Factory(WebSocketClientFactory):
        protocol = protocol_class()
        results = {}
        exit_code = 2

        def __init__(self):
            super().__init__(options.url, useragent="AutobahnTestSuite")
            self.logFrames = True
            self.setProtocolOptions(failByDrop=False)
            self.waiting = list(wanted)

        def buildProtocol(self, address):
            protocol = self.protocol()
            protocol.factory = self
            protocol.Case = all_cases.CasesById[self.waiting[0]]
            protocol.runCase = protocol.Case(protocol)
            return protocol

        def note(self, protocol, case):
            number = self.waiting[0]
            self.results[number] = {
                "behavior": case.behavior,
                "behaviorClose": case.behaviorClose,
                "result": str(case.result),
                "resultClose": case.resultClose,
                "remoteCloseCode": protocol.remoteCloseCode,
                "milliseconds": int(1000 * (time.monotonic() - protocol.started)),
                "description": case.DESCRIPTION,
                "expected": repr(case.expected)[:400],
                "received": repr(case.received)[:400],
            }
            if not passed(self.results[number]):
                print(number, json.dumps(self.results[number], indent=1), flush=True)

        def clientConnectionLost(self, connector, reason):
            self.waiting.pop(0)
            if self.waiting:
                connector.connect()
                return
            self.exit_code = 0 if all(map(passed, self.results.values())) else 1
            reactor.stop()

        def clientConnectionFailed(self, connector, reason):
            print("cannot connect:", reason.getErrorMessage(), flush=True)
            reactor.stop()

    print(f"{len(wanted)} cases", flush=True)
    if not wanted:
        return 1
    factory = Factory()
    started = time.monotonic()
    connectWS(factory)
    reactor.run()
    report(options.out, factory.results, time.monotonic() - started)
    return factory.exit_code if len(factory.results) == len(wanted) else max(factory.exit_code, 1)


def passed(result):
    return {result["behavior"], result["behaviorClose"]} <= PASSED


def report(path, results, seconds):
    behavior = collections.Counter(result["behavior"] for result in results.values())
    close = collections.Counter(result["behaviorClose"] for result in results.values())
    with open(path, "w", encoding="utf-8") as out:
        json.dump(
            {"seconds": round(seconds, 1), "behavior": behavior, "close": close, "cases": results},
            out,
            indent=1,
        )
    print(f"{len(results)} ran in {seconds:.0f} s: behavior {dict(behavior)}, close {dict(close)}")


def main():
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="autobahn-cases-") as work:
        convert.convert(work)
        return run(options)


if __name__ == "__main__":
    sys.exit(main())
