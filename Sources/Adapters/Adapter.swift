public import JSON
public import Models
public import Tensors

/// An adapter file, read: its targets with their factors, and an account of every tensor in it.
///
/// Reading looks at names, shapes and alphas only; factors stay in the mapped file until something computes with them.
public struct Adapter: Sendable {
  /// The file or folder, as it was given.
  public let path: String
  /// The dialect that its tensor names are in.
  public let format: AdapterFormat
  /// The model that it was made for, as names and shapes tell it; `unknown` where they do not.
  public let family: Family
  /// All families that names and shapes can belong to; several where they do not tell one.
  public let candidates: [Family]
  /// In the file's order.
  public let targets: [Target]
  /// Targets whose deltas depend on the base weight; `bound(to:)` gives them.
  public let dependents: [DependentTarget]
  /// Targets of algorithms that are known by name only: they have no delta, and nobody may drop them in silence.
  public let unsupported: [UnsupportedTarget]
  /// Tensors that are known not to be part of any target (bundled embeddings, say). Writers copy them.
  public let passedThrough: [(name: String, tensor: Tensor)]
  /// Base weights that the file has beside the factors which belong to them.
  package let frozen: [WholeWeight]
  /// The names of those that change what a prompt says: embeddings, with new words for the text encoder.
  package var embeddings: [String] {
    passedThrough.map(\.name).filter { !$0.contains("_aux.") && !Self.isTrainingState($0) }
  }

  /// Whether a tensor is of use to a training that goes on, and to nothing else: VeLoRA's projection of activations.
  package static func isTrainingState(_ name: String) -> Bool { name.hasSuffix(".lora_velora_embed") }
  /// Tensors that no known trainer writes.
  public let unknown: [String]
  /// The file's metadata, in its order.
  public let metadata: [(key: String, value: String)]
  /// The program that trained it, or whose form it has, where metadata, names or the container tell: `ai-toolkit`, `llama.cpp`.
  public let program: String?
  /// The fields of `adapter_config.json`, when there is one.
  public let configuration: [String: JSONValue]?
  /// What reading found; see also `AdapterProblem.isFatal`.
  public let problems: [AdapterProblem]
  /// The size of the file that holds the tensors.
  public let byteCount: Int
  /// The file that holds the tensors: `path`, or a file in that folder.
  public let tensorFile: String
  /// The files that are the adapter, some of which need not be there: what a command that works in place replaces.
  package var ownFiles: Set<String> {
    let folder = tensorFile.lastIndex(of: "/").map { String(tensorFile[...$0]) } ?? ""
    return [tensorFile, folder + "adapter_config.json"]
  }
  /// The bytes that content hashes cover; `nil` for torch pickles.
  public let data: Bytes?

  /// All parameters of all targets.
  public var parameterCount: Int {
    targets.reduce(0) { $0 + $1.parameterCount } + dependents.reduce(0) { $0 + ($1.isOptional ? 0 : $1.parameterCount) }
      + unsupported.reduce(0) { $0 + $1.parameterCount }
  }

  /// The adapter as one of a family that names and shapes need not tell.
  public func assuming(_ family: Family) -> Adapter {
    replacing(family: family, problems: problems.filter { !$0.isAboutFamily })
  }

  /// The same file's adapter with other targets.
  func replacing(
    family: Family? = nil, targets: [Target]? = nil, dependents: [DependentTarget]? = nil,
    passedThrough: [(name: String, tensor: Tensor)]? = nil, frozen: [WholeWeight]? = nil,
    problems: [AdapterProblem]? = nil
  ) -> Adapter {
    Adapter(
      path: path, format: format, family: family ?? self.family, candidates: family.map { [$0] } ?? candidates,
      targets: targets ?? self.targets,
      dependents: dependents ?? self.dependents, unsupported: unsupported,
      passedThrough: passedThrough ?? self.passedThrough, frozen: frozen ?? self.frozen, unknown: unknown,
      metadata: metadata, program: program,
      configuration: configuration, problems: problems ?? self.problems, byteCount: byteCount, tensorFile: tensorFile,
      data: data)
  }

  /// The adapter with some of its targets only.
  package func keeping(_ isKept: (Target) -> Bool) -> Adapter { replacing(targets: targets.filter(isKept)) }

  /// The value of a metadata key; `nil` when it is absent, and the last one when the header has it twice.
  public subscript(metadata key: String) -> String? { metadata.last { $0.key == key }?.value }

  /// Refuses an adapter that cannot be worked on as a whole.
  ///
  /// - Parameters:
  ///   - allowingUnknown: whether unknown tensors may be left out.
  ///   - allowingUnsupported: whether targets of algorithms that cannot be worked on may be left out.
  ///   - allowingDependents: whether targets that have no delta without a base are all right.
  /// - Throws: `AdapterError` for the first fatal problem.
  public func requireWorkable(
    allowingUnknown: Bool, allowingUnsupported: Bool = false, allowingDependents: Bool = false
  ) throws(AdapterError) {
    for problem in problems where problem.isFatal {
      if allowingUnknown, problem.kind == .unknownTensor { continue }
      if allowingUnsupported, case .unsupported = problem.kind { continue }
      if allowingDependents, problem.dependsOnBase { continue }
      throw AdapterError(.problem(problem), path: path)
    }
    guard !targets.isEmpty || (allowingDependents && !dependents.isEmpty) else {
      let isPruned = problems.contains { $0.kind == .pruned }
      throw AdapterError(
        .notAnAdapter(reason: "found \(isPruned ? "only targets of rank 0" : "no targets") in it"), path: path)
    }
  }
}
