import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import * as v1 from "@coordination-signals/proto/grpc/reflection/v1/reflection";
import * as v1alpha from "@coordination-signals/proto/grpc/reflection/v1alpha/reflection";
import { describe, expect, test } from "@jest/globals";
import { openTestPort } from "../support/open-test-port.js";

type Question = v1.ServerReflectionRequest["messageRequest"];
type Answer = v1.ServerReflectionResponse["messageResponse"];
type Init = { readonly [Key in keyof Question]: Question[Key] };

/** Asks several questions on one stream. */
async function ask(service: typeof v1.ServerReflection, url: string, questions: readonly Init[]): Promise<Answer[]> {
  const client = createClient(service, createGrpcTransport({ baseUrl: url }));
  const answers: Answer[] = [];
  const requests = (async function* () {
    for (const messageRequest of questions) yield { host: "h", messageRequest } as never;
  })();
  for await (const { messageResponse, validHost } of client.serverReflectionInfo(requests)) {
    expect(validHost).toBe("h");
    answers.push(messageResponse);
  }
  return answers;
}

function filesOf(answer: Answer | undefined): FileDescriptorProto[] {
  if (answer?.case !== "fileDescriptorResponse") throw new Error(`answered with ${answer?.case}`);
  return answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
}

/** The order in which the registry of this library takes them; others take any. */
function dependenciesFirst(files: readonly FileDescriptorProto[]): FileDescriptorProto[] {
  const ordered = new Set<FileDescriptorProto>();
  const add = (file: FileDescriptorProto): void => {
    for (const dependency of files) if (file.dependency.includes(dependency.name)) add(dependency);
    ordered.add(file);
  };
  for (const file of files) add(file);
  return [...ordered];
}

const versions = [
  ["v1", v1.ServerReflection],
  ["v1alpha", v1alpha.ServerReflection as unknown as typeof v1.ServerReflection],
] as const;

describe.each(versions)("reflection %s", (_version, service) => {
  test("lists the services, health and itself", async () => {
    await using server = await openTestPort({ services: [SignalService] });
    const [answer] = await ask(service, server.port.url, [{ case: "listServices", value: "" }]);
    expect(answer?.case === "listServicesResponse" ? answer.value.service.map(({ name }) => name) : answer).toEqual([
      "coordination.v1.SignalService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
  });

  test("gives files with all they depend on, from which a client can call", async () => {
    await using server = await openTestPort({ services: [SignalService] });
    const questions = [{ case: "fileContainingSymbol", value: "coordination.v1.SignalService" }] as const;
    const [answer] = await ask(service, server.port.url, questions);
    const files = filesOf(answer);
    expect(files[0]?.name).toBe("coordination/v1/signal_service.proto");
    expect(files.map(({ name }) => name)).toContain("buf/validate/validate.proto");
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: dependenciesFirst(files) }));
    expect(registry.getService("coordination.v1.SignalService")?.method["sendSignal"]?.input.typeName).toBe(
      "coordination.v1.SendSignalRequest",
    );
  });

  test("sends on one stream no dependency twice, and a file again that is asked for again", async () => {
    await using server = await openTestPort({ services: [SignalService] });
    const question = { case: "fileByFilename", value: "coordination/v1/signal_service.proto" } as const;
    const [first, second] = (await ask(service, server.port.url, [question, question])).map(filesOf);
    expect(new Set(first?.map(({ name }) => name)).size).toBe(first?.length);
    expect(second?.map(({ name }) => name)).toEqual(["coordination/v1/signal_service.proto"]);
  });

  test("finds extensions by message and number", async () => {
    await using server = await openTestPort({ services: [SignalService] });
    const options = "google.protobuf.FieldOptions";
    const [numbers, none, file] = await ask(service, server.port.url, [
      { case: "allExtensionNumbersOfType", value: options },
      { case: "allExtensionNumbersOfType", value: "coordination.v1.SendSignalRequest" },
      {
        case: "fileContainingExtension",
        value: create(v1.ExtensionRequestSchema, { containingType: options, extensionNumber: 1159 }),
      },
    ]);
    expect(numbers?.case === "allExtensionNumbersResponse" && numbers.value.extensionNumber).toContain(1159);
    expect(none?.case === "allExtensionNumbersResponse" && none.value.extensionNumber).toEqual([]);
    expect(filesOf(file)[0]?.name).toBe("buf/validate/validate.proto");
  });

  test("answers what is unknown or not asked with an error, and goes on", async () => {
    await using server = await openTestPort({ services: [SignalService] });
    const answers = await ask(service, server.port.url, [
      { case: "fileByFilename", value: "nothing.proto" },
      { case: "fileContainingSymbol", value: "coordination.v1.SignalService.Nothing" },
      { case: "allExtensionNumbersOfType", value: "no.Message" },
      { case: undefined },
      { case: "listServices", value: "" },
    ]);
    expect(
      answers.map((answer) => (answer.case === "errorResponse" ? answer.value.errorMessage : answer.case)),
    ).toEqual([
      'file "nothing.proto" is unknown',
      'symbol "coordination.v1.SignalService.Nothing" is unknown',
      'message "no.Message" is unknown',
      "message_request is not set",
      "listServicesResponse",
    ]);
  });
});

test("reflection knows the full names of methods, fields, oneofs, enums and their values", async () => {
  await using server = await openTestPort({ services: [SignalService] });
  const names = [
    "coordination.v1.SignalService.SendSignal",
    "coordination.v1.CoordinationSignal.sequence",
    "coordination.v1.CoordinationSignal.event",
    "coordination.v1.SignalType",
    "coordination.v1.SIGNAL_TYPE_AGENT_COMPLETED",
    "buf.validate.field",
  ];
  const questions = names.map((value) => ({ case: "fileContainingSymbol", value }) as const);
  const answers = await ask(v1.ServerReflection, server.port.url, questions);
  const signal = "coordination/v1/signal.proto";
  // What was sent with an earlier answer comes first when it is asked for itself.
  expect(answers.map((answer) => filesOf(answer)[0]?.name)).toEqual([
    "coordination/v1/signal_service.proto",
    signal,
    signal,
    signal,
    signal,
    "buf/validate/validate.proto",
  ]);
});
