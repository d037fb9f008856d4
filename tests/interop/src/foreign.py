"""A socket of libzmq with CURVE, driven line by line: python3 foreign.py TYPE ROLE SECRET PUBLIC SERVER.

The role is `client` or `server`; SERVER is the key that a client looks for, or what a server's authenticator lets in:
`-` is no authenticator, three digits are what a handler says of everybody, anything else is the one key. Frames are in hexadecimal, joined by commas.
"""
import queue
import sys
import threading

import zmq
import zmq.auth.thread
import zmq.utils.monitor

LONG = 30_000


class OneKey:
    """Lets in the owner of one key."""

    def __init__(self, key):
        self.key = key.encode()

    def callback(self, _domain, key):
        return key == self.key


class Handler:
    """Answers all questions with one status."""

    def __init__(self, context, status):
        self.status = status.encode()
        self.over = threading.Event()
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind("inproc://zeromq.zap.01")
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.over.is_set():
            if self.socket.poll(10):
                version, number = self.socket.recv_multipart()[:2]
                self.socket.send_multipart([version, number, self.status, b"a text", b"", b""])
        self.socket.close()

    def stop(self):
        self.over.set()
        self.thread.join()


FAILURES = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "AUTH",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "PROTOCOL",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "NO_DETAIL",
}


def main(kind, role, secret, public, server):
    context = zmq.Context()
    authenticator = None
    socket = context.socket(getattr(zmq, kind))
    socket.rcvtimeo = socket.sndtimeo = LONG
    socket.linger = 0 if kind in ("SUB", "XSUB") else LONG
    socket.curve_secretkey = secret.encode()
    if role == "client":
        socket.curve_publickey, socket.curve_serverkey = public.encode(), server.encode()
    else:
        socket.curve_server = True
        if server.isdigit():
            authenticator = Handler(context, server)
        elif server != "-":
            authenticator = zmq.auth.thread.ThreadAuthenticator(context)
            authenticator.start()
            authenticator.configure_curve_callback("test", OneKey(server))
        if authenticator is not None:
            socket.zap_domain = b"test"
    for line in orders(socket):
        verb, _, rest = line.strip().partition(" ")
        if verb == "bind":
            socket.bind(rest)
            say("bound", socket.last_endpoint.rstrip(b"\0").decode())
        elif verb == "connect":
            socket.connect(rest)
        elif verb == "beat":
            socket.heartbeat_ivl, socket.heartbeat_timeout, socket.heartbeat_ttl = int(rest), LONG, LONG
        elif verb == "watch":
            monitor = socket.get_monitor_socket(sum(FAILURES))
            monitor.rcvtimeo = LONG
        elif verb == "failure":
            event = zmq.utils.monitor.recv_monitor_message(monitor)
            say("failed", FAILURES[event["event"]], event["value"])
        elif verb == "subscribe":
            socket.subscribe(bytes.fromhex(rest))
        elif verb == "send":
            socket.send_multipart([bytes.fromhex(frame) for frame in rest.split(",")])
        elif verb == "later":
            # As long as some heartbeats take.
            socket.poll(int(rest.partition(" ")[0]))
            socket.send_multipart([rest.partition(" ")[2].encode()])
        elif verb == "recv":
            say("got", ",".join(frame.hex() for frame in socket.recv_multipart()))
    if authenticator is not None:
        authenticator.stop()
    context.destroy()


def orders(socket):
    """The lines of the input. While there is none, the socket takes note of peers, which it does only when it is used."""
    lines = queue.SimpleQueue()

    def read():
        for line in sys.stdin:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=0.01)
        except queue.Empty:
            socket.get(zmq.EVENTS)
            continue
        if line is None:
            return
        yield line


def say(*words):
    print(*words, flush=True)


if not zmq.has("curve"):
    sys.exit("this libzmq has no CURVE")
main(*sys.argv[1:])
