import type { DescEnum, DescExtension, DescFile, DescMessage, DescService } from "@bufbuild/protobuf";
import { toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

/**
 * What server reflection can be asked for: every file that the given services need, by its name, by the names of what it
 * declares, and by the extensions it holds. Built once; each look-up is one map access.
 */
export class ReflectionIndex {
  readonly services: readonly string[];
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();
  readonly #extensions = new Map<string, Map<number, DescFile>>();

  /** Indexes the files of `services`, the files beside them that clients ask for, and all their dependencies. */
  constructor(services: readonly DescService[], files: readonly DescFile[] = []) {
    this.services = services.map((service) => service.typeName).sort();
    for (const service of services) this.#addFile(service.file);
    for (const file of files) this.#addFile(file);
  }

  /** The file of this name, as it is imported (`google/protobuf/duration.proto`). */
  fileByName(name: string): DescFile | undefined {
    return this.#files.get(name);
  }

  /** The file that declares a symbol: a full name of a service, method, message, field, oneof, enum, value or extension. */
  fileBySymbol(name: string): DescFile | undefined {
    return this.#symbols.get(name);
  }

  /** The file that declares extension `number` of message `typeName`. */
  fileByExtension(typeName: string, number: number): DescFile | undefined {
    return this.#extensions.get(typeName)?.get(number);
  }

  /** Numbers of all known extensions of a message, or `undefined` when the message is unknown. */
  extensionNumbers(typeName: string): number[] | undefined {
    const numbers = this.#extensions.get(typeName);
    if (numbers !== undefined) return [...numbers.keys()].sort((a, b) => a - b);
    return this.#symbols.has(typeName) ? [] : undefined;
  }

  #addFile(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return;
    this.#files.set(file.proto.name, file);
    for (const service of file.services) this.#addService(service);
    for (const message of file.messages) this.#addMessage(message);
    for (const declared of file.enums) this.#addEnum(declared);
    for (const extension of file.extensions) this.#addExtension(extension);
    for (const dependency of file.dependencies) this.#addFile(dependency);
  }

  #addService(service: DescService): void {
    this.#symbols.set(service.typeName, service.file);
    for (const method of service.methods) this.#symbols.set(`${service.typeName}.${method.name}`, service.file);
  }

  #addMessage(message: DescMessage): void {
    this.#symbols.set(message.typeName, message.file);
    for (const member of [...message.fields, ...message.oneofs]) {
      this.#symbols.set(`${message.typeName}.${member.name}`, message.file);
    }
    for (const nested of message.nestedMessages) this.#addMessage(nested);
    for (const nested of message.nestedEnums) this.#addEnum(nested);
    for (const nested of message.nestedExtensions) this.#addExtension(nested);
  }

  #addEnum(declared: DescEnum): void {
    this.#symbols.set(declared.typeName, declared.file);
    // Values are siblings of their enum, not its children: the scoping of C++ that protobuf took over.
    const scope = declared.typeName.slice(0, declared.typeName.length - declared.name.length);
    for (const value of declared.values) this.#symbols.set(`${scope}${value.name}`, declared.file);
  }

  #addExtension(extension: DescExtension): void {
    this.#symbols.set(extension.typeName, extension.file);
    const extendee = extension.extendee.typeName;
    const numbers = this.#extensions.get(extendee) ?? new Map<number, DescFile>();
    this.#extensions.set(extendee, numbers.set(extension.number, extension.file));
  }
}

/**
 * Encodes a file and those of its dependencies that `sent` does not name yet, the file first, and adds their names. The
 * file itself is always included: clients that ask again want an answer. Few clients resolve dependencies on their own.
 */
export function encodeWithDependencies(file: DescFile, sent: Set<string>): Uint8Array[] {
  const encoded: Uint8Array[] = [];
  const waiting = [file];
  sent.add(file.proto.name);
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    encoded.push(toBinary(FileDescriptorProtoSchema, next.proto));
    for (const dependency of next.dependencies) {
      if (sent.has(dependency.proto.name)) continue;
      sent.add(dependency.proto.name);
      waiting.push(dependency);
    }
  }
  return encoded;
}
