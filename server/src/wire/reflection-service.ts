import { create, type DescService } from "@bufbuild/protobuf";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { file_google_rpc_error_details } from "@coordination-signals/proto/google/rpc/error_details";
import * as v1 from "@coordination-signals/proto/grpc/reflection/v1/reflection";
import * as v1alpha from "@coordination-signals/proto/grpc/reflection/v1alpha/reflection";
import { encodeWithDependencies, ReflectionIndex } from "./reflection-index.js";

/**
 * Serves `grpc.reflection.v1` and `v1alpha` (older grpcurl and most graphical clients ask for the latter) for the given
 * services and everything they depend on, so that clients can list, describe and call without having the .proto files.
 */
export function registerReflection(router: ConnectRouter, services: readonly DescService[]): void {
  // No method names the details of errors, but clients look up their types to show them.
  const index = new ReflectionIndex(services, [file_google_rpc_error_details]);
  router.service(v1.ServerReflection, {
    async *serverReflectionInfo(requests) {
      const sent = new Set<string>();
      for await (const request of requests) {
        yield create(v1.ServerReflectionResponseSchema, {
          validHost: request.host,
          originalRequest: request,
          messageResponse: answer(index, request.messageRequest, sent),
        });
      }
    },
  });
  router.service(v1alpha.ServerReflection, {
    async *serverReflectionInfo(requests) {
      const sent = new Set<string>();
      for await (const request of requests) {
        yield create(v1alpha.ServerReflectionResponseSchema, {
          validHost: request.host,
          originalRequest: request,
          messageResponse: answer(index, request.messageRequest, sent),
        });
      }
    },
  });
}

/** The two versions differ in their package only; this is the question without it. */
type Question =
  | { readonly case: "fileByFilename" | "fileContainingSymbol"; readonly value: string }
  | { readonly case: "allExtensionNumbersOfType" | "listServices"; readonly value: string }
  | {
      readonly case: "fileContainingExtension";
      readonly value: { readonly containingType: string; readonly extensionNumber: number };
    }
  | { readonly case: undefined; readonly value?: undefined };

function answer(index: ReflectionIndex, question: Question, sent: Set<string>) {
  switch (question.case) {
    case "listServices":
      return { case: "listServicesResponse", value: { service: index.services.map((name) => ({ name })) } } as const;
    case "fileByFilename":
      return fileAnswer(index.fileByName(question.value), `file "${question.value}"`, sent);
    case "fileContainingSymbol":
      return fileAnswer(index.fileBySymbol(question.value), `symbol "${question.value}"`, sent);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = question.value;
      const file = index.fileByExtension(containingType, extensionNumber);
      return fileAnswer(file, `extension ${extensionNumber} of "${containingType}"`, sent);
    }
    case "allExtensionNumbersOfType":
      return extensionNumbersAnswer(index, question.value);
    case undefined:
      return errorAnswer(Code.InvalidArgument, "message_request is not set");
  }
}

function fileAnswer(file: ReturnType<ReflectionIndex["fileByName"]>, what: string, sent: Set<string>) {
  if (file === undefined) return errorAnswer(Code.NotFound, `${what} is unknown`);
  const value = { fileDescriptorProto: encodeWithDependencies(file, sent) };
  return { case: "fileDescriptorResponse", value } as const;
}

function extensionNumbersAnswer(index: ReflectionIndex, typeName: string) {
  const extensionNumber = index.extensionNumbers(typeName);
  if (extensionNumber === undefined) return errorAnswer(Code.NotFound, `message "${typeName}" is unknown`);
  return { case: "allExtensionNumbersResponse", value: { baseTypeName: typeName, extensionNumber } } as const;
}

function errorAnswer(code: Code, errorMessage: string) {
  return { case: "errorResponse", value: { errorCode: code, errorMessage } } as const;
}
