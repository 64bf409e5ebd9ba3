"""Runs in the peer's own environment: one JSON request a line in, one answer a line out."""

import json
import sys

from spacepackets.ccsds.spacepacket import PacketType, SequenceFlags, SpacePacketHeader
from spacepackets.cfdp.conf import PduConfig
from spacepackets.cfdp.defs import (
    ChecksumType,
    ConditionCode,
    CrcFlag,
    DeliveryCode,
    Direction,
    FileStatus,
    TransmissionMode,
)
from spacepackets.cfdp.pdu import (
    AckPdu,
    DirectiveType,
    EofPdu,
    FileDataParams,
    FileDataPdu,
    FinishedParams,
    FinishedPdu,
    MetadataParams,
    MetadataPdu,
    NakPdu,
    PduFactory,
    TransactionStatus,
)
from spacepackets.util import ByteFieldGenerator


def packet_pack(apid, sequence, payload, telecommand, secondary_header, flags):
    header = SpacePacketHeader(
        PacketType(int(telecommand)),
        apid,
        sequence,
        len(payload) // 2 - 1,
        secondary_header,
        SequenceFlags(flags),
    )
    return header.pack().hex() + payload


def packet_unpack(octets):
    raw = bytes.fromhex(octets)
    header = SpacePacketHeader.unpack(raw)
    return [
        header.apid,
        header.seq_count,
        raw[6 : header.packet_len].hex(),
        header.packet_type == PacketType.TC,
        bool(header.sec_header_flag),
        int(header.seq_flags),
    ]


def pdu_pack(transaction, kind, fields):
    source, sequence, destination, wide, long, crc = transaction
    config = PduConfig(
        source_entity_id=ByteFieldGenerator.from_int(wide, source),
        dest_entity_id=ByteFieldGenerator.from_int(wide, destination),
        transaction_seq_num=ByteFieldGenerator.from_int(long, sequence),
        trans_mode=TransmissionMode.ACKNOWLEDGED,
        crc_flag=CrcFlag(int(crc)),
        direction=Direction.TOWARDS_RECEIVER,
    )
    if kind == "Metadata":
        name, size, checksum, closure = fields
        pdu = MetadataPdu(config, MetadataParams(closure, ChecksumType(checksum), size, name, name))
    elif kind == "FileData":
        pdu = FileDataPdu(config, FileDataParams(bytes.fromhex(fields[1]), fields[0]))
    elif kind == "Eof":
        checksum, size, condition = fields
        pdu = EofPdu(config, checksum.to_bytes(4, "big"), size, condition_code=ConditionCode(condition))
    elif kind == "Ack":
        of, condition, status = fields
        pdu = AckPdu(config, DirectiveType(of), ConditionCode(condition), TransactionStatus(status))
    elif kind == "Nak":
        scope, gaps, metadata = fields
        requests = [(0, 0)] * metadata + [tuple(gap) for gap in gaps]
        pdu = NakPdu(config, scope[0], scope[1], requests)
    else:
        condition, complete, status = fields
        delivery = DeliveryCode.DATA_COMPLETE if complete else DeliveryCode.DATA_INCOMPLETE
        pdu = FinishedPdu(config, FinishedParams(ConditionCode(condition), delivery, FileStatus(status)))
    return bytes(pdu.pack()).hex()


def pdu_unpack(octets):
    pdu = PduFactory.from_raw(bytes.fromhex(octets))
    header = pdu.pdu_header
    transaction = [
        header.source_entity_id.value,
        header.transaction_seq_num.value,
        header.dest_entity_id.value,
        header.source_entity_id.byte_len,
        header.transaction_seq_num.byte_len,
        header.crc_flag == CrcFlag.WITH_CRC,
    ]
    if isinstance(pdu, MetadataPdu):
        fields = [pdu.dest_file_name, pdu.file_size, int(pdu.checksum_type), pdu.closure_requested]
    elif isinstance(pdu, FileDataPdu):
        fields = [pdu.offset, pdu.file_data.hex()]
    elif isinstance(pdu, EofPdu):
        # spacepackets 0.32.0 leaves the condition code of an EOF in the upper half of its octet
        fields = [int.from_bytes(pdu.file_checksum, "big"), pdu.file_size, int(pdu.condition_code) >> 4]
    elif isinstance(pdu, AckPdu):
        fields = [
            int(pdu.directive_code_of_acked_pdu),
            int(pdu.condition_code_of_acked_pdu),
            int(pdu.transaction_status),
        ]
    elif isinstance(pdu, NakPdu):
        requests = [list(one) for one in pdu.segment_requests]
        fields = [
            [pdu.start_of_scope, pdu.end_of_scope],
            [one for one in requests if one != [0, 0]],
            [0, 0] in requests,
        ]
    else:
        fields = [int(pdu.condition_code), pdu.delivery_code == DeliveryCode.DATA_COMPLETE, int(pdu.file_status)]
    return [transaction, type(pdu).__name__.removesuffix("Pdu"), fields]


OPERATIONS = {
    "packet_pack": packet_pack,
    "packet_unpack": packet_unpack,
    "pdu_pack": pdu_pack,
    "pdu_unpack": pdu_unpack,
}

for line in sys.stdin:
    operation, arguments = json.loads(line)
    try:
        answer = {"answer": OPERATIONS[operation](*arguments)}
    except Exception as problem:
        answer = {"error": f"{type(problem).__name__}: {problem}"}
    print(json.dumps(answer), flush=True)
