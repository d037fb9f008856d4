"""Works out curve.txt: a CURVE handshake (RFC 26) and three messages, with fixed keys, on top of PyNaCl.

It shares no code with the library: the boxes are libsodium's, the layouts are those of the RFC. What is fixed here is fixed
in src/zmtp/tests/curve/recorded.rs, too.

    python -m pip install pynacl
    python tests/known_answers/curve.py > tests/known_answers/curve.txt
"""

from struct import pack

from nacl.bindings import crypto_box, crypto_scalarmult_base, crypto_secretbox

# The long-term keys, the keys of this connection, and what is drawn at random.
SERVER, CLIENT = bytes([1]) * 32, bytes([2]) * 32
CLIENT_TRANSIENT = bytes([3]) * 32
DRAWN = bytes(range(96))
SERVER_TRANSIENT, COOKIE_KEY, COOKIE_NONCE, WELCOME_NONCE = DRAWN[:32], DRAWN[32:64], DRAWN[64:80], DRAWN[80:]
VOUCH_NONCE = bytes([5]) * 16

COMMAND = 4


def public(secret):
    return crypto_scalarmult_base(secret)


def box(text, prefix, rest, to, by):
    return crypto_box(text, prefix + rest, public(to), by)


def frame(flags, body):
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | 2]) + pack(">Q", len(body)) + body


def properties(socket_type):
    name = b"Socket-Type"
    return bytes([len(name)]) + name + pack(">I", len(socket_type)) + socket_type


def greeting():
    return b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)


def hello():
    nonce = pack(">Q", 1)
    proof = box(bytes(64), b"CurveZMQHELLO---", nonce, SERVER, CLIENT_TRANSIENT)
    return frame(COMMAND, b"\x05HELLO\x01\x00" + bytes(72) + public(CLIENT_TRANSIENT) + nonce + proof)


def cookie():
    kept = public(CLIENT_TRANSIENT) + SERVER_TRANSIENT
    return COOKIE_NONCE + crypto_secretbox(kept, b"COOKIE--" + COOKIE_NONCE, COOKIE_KEY)


def welcome():
    text = public(SERVER_TRANSIENT) + cookie()
    return frame(COMMAND, b"\x07WELCOME" + WELCOME_NONCE + box(text, b"WELCOME-", WELCOME_NONCE, CLIENT_TRANSIENT, SERVER))


def initiate():
    vouched = public(CLIENT_TRANSIENT) + public(SERVER)
    vouch = VOUCH_NONCE + box(vouched, b"VOUCH---", VOUCH_NONCE, SERVER_TRANSIENT, CLIENT)
    text = public(CLIENT) + vouch + properties(b"PAIR")
    nonce = pack(">Q", 2)
    sealed = box(text, b"CurveZMQINITIATE", nonce, SERVER_TRANSIENT, CLIENT_TRANSIENT)
    return frame(COMMAND, b"\x08INITIATE" + cookie() + nonce + sealed)


def ready():
    nonce = pack(">Q", 1)
    sealed = box(properties(b"PAIR"), b"CurveZMQREADY---", nonce, CLIENT_TRANSIENT, SERVER_TRANSIENT)
    return frame(COMMAND, b"\x05READY" + nonce + sealed)


def message(prefix, number, flags, body, to, by):
    nonce = pack(">Q", number)
    # libzmq sends it without the COMMAND flag, though the RFC calls it a command.
    return frame(0, b"\x07MESSAGE" + nonce + box(bytes([flags]) + body, prefix, nonce, to, by))


def of_client(*said):
    return message(b"CurveZMQMESSAGEC", *said, SERVER_TRANSIENT, CLIENT_TRANSIENT)


def of_server(*said):
    return message(b"CurveZMQMESSAGES", *said, CLIENT_TRANSIENT, SERVER_TRANSIENT)


CONVERSATION = [
    ("client greets", greeting()),
    ("server greets", greeting()),
    ("client says HELLO", hello()),
    ("server says WELCOME", welcome()),
    ("client says INITIATE", initiate()),
    ("server says READY", ready()),
    ("client sends a message of two frames", of_client(3, 1, b"the first") + of_client(4, 0, b"the last" * 40)),
    ("server sends a message of one", of_server(2, 0, b"the answer")),
    ("client sends nothing at all", of_client(5, 0, b"")),
]

print("# Made by curve.py beside this file: who says what, and its bytes.")
for name, said in CONVERSATION:
    print(f"{name}: {said.hex()}")
