package import Adapters
package import Files
package import Safetensors
package import Tensors

/// The one way in which adapters are written: laid out beforehand, filled from many threads, sealed with their hashes, read again as any
/// reader would, and only then given a name.
package struct AdapterWriter: Sendable {
  /// What a reader must find of a target.
  package struct Expectation: Sendable {
    package let name: String
    /// The name of its up factor, by which it is found.
    package let tensor: String
    package let upShape: Shape
    package let downShape: Shape
    /// What the product of its factors is multiplied by; `nil` where that is compared in another way.
    package let scale: Double?

    package init(name: String, tensor: String, upShape: Shape, downShape: Shape, scale: Double?) {
      (self.name, self.tensor, self.upShape, self.downShape) = (name, tensor, upShape, downShape)
      self.scale = scale
    }
  }

  private let files: OutputFiles
  private let writer: SafetensorsWriter
  private let items: [SafetensorsLayout.Item]
  private let others: [(name: String, tensor: Tensor)]
  private let metadata: OutputMetadata
  private let ranks: [Int]

  /// - Parameters:
  ///   - items: the tensors that will be written.
  ///   - others: tensors to copy.
  ///   - ranks: of the targets that the metadata is about.
  ///   - files: begun, and empty.
  package init(
    _ items: [SafetensorsLayout.Item], others: [(name: String, tensor: Tensor)] = [], metadata: OutputMetadata,
    ranks: [Int], to files: OutputFiles
  ) {
    (self.files, self.others, self.metadata, self.ranks) = (files, others, metadata, ranks)
    self.items = items + others.items
    writer = SafetensorsWriter(
      layout: SafetensorsLayout(self.items, metadata: metadata.entries(ranks: ranks)), file: files.tensors)
  }

  /// The size of the tensor file.
  package var byteCount: Int { writer.layout.fileCount }

  package func write(_ bytes: [UInt8], of name: String) throws {
    try bytes.withUnsafeBytes { try writer.write($0, of: name) }
  }
  package func write(_ tensor: Tensor, of name: String) throws { try write(tensor.bytes, of: name) }
  package func write(_ bytes: Bytes, of name: String) throws {
    try bytes.withUnsafeBytes { try writer.write($0, of: name) }
  }

  /// Writes what tells the scale, where the names have a place for it.
  package func write(scale: Double, as scaling: OutputTarget.Scaling, rank: Int, of names: Target.TensorNames) throws {
    guard let name = names.alpha else { return }
    let value = if case .alpha = scaling { scale * Double(rank) } else { scale }
    try write(Tensor([value], shape: [], dtype: .f32), of: name)
  }

  /// Adds what is copied, and completes the file with its hashes.
  ///
  /// - Parameter inputHashes: SHA-256 of the tensors of each input's files.
  package func seal(inputHashes: [[String]]) throws {
    for (name, tensor) in others { try write(tensor, of: name) }
    let provisional = writer.layout.metadata
    try writer.seal { data in
      metadata.entries(ranks: ranks, hashes: .init(inputs: inputHashes, data: data, items, metadata: provisional))
    }
  }

  /// Reads the sealed file as any reader would, and compares what it says with what was meant.
  ///
  /// - Parameter isWhole: whether the file is a workable adapter and has no other targets.
  /// - Returns: the targets by the names of their up factors.
  /// - Throws: `FactoringError.verification`, or what a reader would.
  @discardableResult
  package func reread(_ expected: [Expectation], isWhole: Bool) throws -> [String: Target] {
    let written = try Adapter(tensorFile: writer.temporaryPath, configuration: files.place.configuration)
    let adapter = written.keepingReplacements.withoutMagnitudes
    if isWhole { try adapter.requireWorkable(allowingUnknown: false) }
    let found = Dictionary(
      uniqueKeysWithValues: adapter.targets.filter { $0.kind != .vector }.map { ($0.names.up, $0) })
    guard !isWhole || found.count == expected.count else {
      throw fault("targets", "count", "\(expected.count)", "\(found.count)")
    }
    // Beside a bias the reader takes a whole module for a full change.
    let unread = Set(adapter.unsupported.flatMap(\.tensors))
    for target in expected where !unread.contains(target.tensor) {
      guard let reread = found[target.tensor] else { throw fault(target.name, "name", target.name, "nothing") }
      guard reread.up.shape == target.upShape, reread.down.shape == target.downShape else {
        throw fault(
          target.name, "shape", "\(target.upShape), \(target.downShape)", "\(reread.up.shape), \(reread.down.shape)")
      }
      guard let scale = target.scale else { continue }
      guard (reread.scale - scale).magnitude <= 1e-12 * scale.magnitude else {
        throw fault(target.name, "scale", "\(scale)", "\(reread.scale)")
      }
    }
    return found
  }

  /// An error about what was found in the file.
  package func fault(_ target: String, _ what: String, _ expected: String, _ found: String) -> FactoringError {
    FactoringError(
      .verification(target: target, what: what, expected: expected, found: found), path: files.place.tensorFile)
  }

  /// The finished adapter, which then is in memory.
  ///
  /// - Parameter title: what messages call it.
  package func adapter(titled title: String) throws -> Adapter {
    let file = try SafetensorsFile(path: writer.temporaryPath)
    let tensors = file.entries.map { entry in
      let tensor = file.tensor(entry)
      let copy = tensor.bytes.withUnsafeBytes { source in Bytes(count: source.count) { $0.copyMemory(from: source) } }
      return (name: entry.name, tensor: Tensor(dtype: tensor.dtype, shape: tensor.shape, bytes: copy))
    }
    return try Adapter(
      tensors: tensors, metadata: file.metadata, configuration: files.place.configuration, title: title)
  }

  /// Completes the files.
  ///
  /// - Returns: what is to get its name, for `Publication`.
  package func completed() throws -> any Unpublished { try files.completed() }
}

extension [(name: String, tensor: Tensor)] {
  /// As the layout wants them.
  package var items: [SafetensorsLayout.Item] {
    map { .init(name: $0.name, dtype: $0.tensor.dtype, shape: $0.tensor.shape) }
  }
}
