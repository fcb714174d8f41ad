"""An agent in Python: sends a signal, or prints the signals it reads as one line of JSON each.

    agent.py HOST:PORT send COORDINATION AGENT SUMMARY
    agent.py HOST:PORT read COORDINATION COUNT [CURSOR]

The stubs are generated from the contract; see the README.
"""

import json
import sys

import grpc
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from buf.validate import validate_pb2
from coordination.v1 import signal_pb2, signal_service_pb2, signal_service_pb2_grpc

DETAIL_TYPES = [error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo, validate_pb2.Violations]


def send(stub, coordination_id, agent_id, summary):
    """Reports an agent's completion."""
    answer = stub.SendSignal(
        signal_service_pb2.SendSignalRequest(
            coordination_id=coordination_id,
            sender_agent_id=agent_id,
            agent_completed=signal_pb2.AgentCompleted(agent_id=agent_id, result_summary=summary, quality_score=0.95),
        ),
        timeout=30,
    )
    print(json.dumps({"sequence": answer.sequence, "signal_id": answer.signal_id}))


def read(stub, coordination_id, count, cursor=None):
    """Prints signals with the cursor that resumes after each batch, from the cursor or from the oldest on."""
    request = signal_service_pb2.SubscribeRequest(coordination_id=coordination_id)
    if cursor is None:
        request.position = signal_service_pb2.START_POSITION_EARLIEST
    else:
        request.cursor = cursor
    call = stub.Subscribe(request, timeout=30)
    seen = 0
    for item in call:
        for signal in item.batch.signals:
            seen += 1
            line = {"signal": MessageToDict(signal, preserving_proto_field_name=True), "cursor": item.batch.cursor}
            print(json.dumps(line), flush=True)
        if seen >= int(count):
            call.cancel()
            return


def print_error(error):
    """Prints a refusal with its details."""
    details = []
    status = rpc_status.from_call(error)
    for packed in status.details if status else []:
        for detail_type in DETAIL_TYPES:
            detail = detail_type()
            if packed.Unpack(detail):
                details.append({"type": detail_type.DESCRIPTOR.full_name, **MessageToDict(detail)})
    print(json.dumps({"code": error.code().name, "message": error.details(), "details": details}))


def main(address, command, *args):
    with grpc.insecure_channel(address) as channel:
        stub = signal_service_pb2_grpc.SignalServiceStub(channel)
        try:
            {"send": send, "read": read}[command](stub, *args)
        except grpc.RpcError as error:
            print_error(error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
