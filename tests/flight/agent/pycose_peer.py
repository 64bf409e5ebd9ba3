"""Runs inside pycose's own virtual environment: a stranger's COSE, one JSON line a question."""

import json
import sys

from pycose.headers import KID, Algorithm
from pycose.keys import OKPKey
from pycose.messages import Sign1Message


def sign(private, key_id, payload, external_aad):
    message = Sign1Message(phdr={Algorithm: "EDDSA", KID: bytes.fromhex(key_id)}, payload=bytes.fromhex(payload))
    message.external_aad = bytes.fromhex(external_aad)
    message.key = OKPKey(crv="ED25519", d=bytes.fromhex(private))
    return message.encode().hex()


def verify(public, octets, external_aad):
    message = Sign1Message.decode(bytes.fromhex(octets))
    message.external_aad = bytes.fromhex(external_aad)
    message.key = OKPKey(crv="ED25519", x=bytes.fromhex(public))
    return {
        "holds": bool(message.verify_signature()),
        "payload": message.payload.hex(),
        "key_id": message.phdr[KID].hex(),
        "unprotected": len(message.uhdr),
    }


for line in sys.stdin:
    name, arguments = json.loads(line)
    try:
        print(json.dumps({"answer": {"sign": sign, "verify": verify}[name](*arguments)}), flush=True)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
