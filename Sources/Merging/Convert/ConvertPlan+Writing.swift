import Adapters
import Files
import LinearAlgebra
import Safetensors
import Spectra
import Tensors

extension ConvertPlan {
  /// What writing would give, without errors, which only the written file tells.
  public func prediction(output: String) throws -> ConvertResult {
    let bytes = parts.reduce(0) { sum, part in sum + layout(part).fileCount }
    return ConvertResult(
      output: output, bytes: bytes, entries: entries { _ in nil },
      splitOut: try ConvertPlaces(output, plan: self).embeddings)
  }

  /// Writes the converted adapter, reads it again and compares every delta, and only then gives it its name.
  ///
  /// - Parameters:
  ///   - output: a file, or for a PEFT adapter a folder.
  ///   - overwriting: whether existing files may be replaced.
  ///   - threads: how many targets are worked on at once; the bytes do not depend on it.
  /// - Throws: `FileError` when the output cannot be written, `MergingError` when a value does not fit or the
  ///   file does not hold what it should.
  public func write(
    to output: String, overwriting: Bool, threads: Int, progress: (@Sendable (Int) -> Void)? = nil
  ) throws -> ConvertResult {
    let places = try ConvertPlaces(output, plan: self)
    try places.check(overwriting: overwriting)
    let hashes = try adapters.map(AdapterHashes.contentHash(of:))
    var errors: [Double] = [], bytes = 0
    let files = try places.files(overwriting: overwriting)
    for (part, (place, files)) in zip(parts, zip(places.places, files)) {
      let layout = layout(part)
      errors += try write(
        part, to: SafetensorsWriter(layout: layout, file: files.tensors), place, hashes: hashes, threads: threads,
        progress: progress)
      bytes += layout.fileCount
    }
    var others: [any Unpublished] = []
    for (embedding, file) in zip(embeddings, places.embeddings) {
      let writer = try self.writer(embedding, to: file, hashes: hashes, overwriting: overwriting)
      bytes += writer.layout.fileCount
      others.append(writer.file)
    }
    // Several adapters are in one folder, which has one name.
    let outputs = try files.map { try $0.completed() }
    try Publication.publish((places.isSeveral ? Array(outputs.prefix(1)) : outputs) + others)
    return ConvertResult(output: output, bytes: bytes, entries: entries { errors[$0] }, splitOut: places.embeddings)
  }

  private func metadata(_ part: Part) -> ConvertMetadata { ConvertMetadata(plan: self, targets: targets[part.targets]) }

  /// Bookkeeping goes into the first file.
  private func others(_ part: Part) -> [(name: String, tensor: Tensor)] {
    part.targets.lowerBound == 0 ? passedThrough : []
  }

  private func items(_ part: Part) -> [SafetensorsLayout.Item] {
    targets[part.targets].flatMap(\.items)
      + others(part).map { .init(name: $0.name, dtype: $0.tensor.dtype, shape: $0.tensor.shape) }
  }

  private func layout(_ part: Part) -> SafetensorsLayout {
    SafetensorsLayout(items(part), metadata: metadata(part).entries())
  }

  private func entries(_ error: (Int) -> Double?) -> [ConvertResult.Entry] {
    targets.enumerated().flatMap { index, target in
      target.sources.map { ConvertResult.Entry(name: $0.name, newName: target.name, relativeError: error(index)) }
    }
  }

  /// The relative error of each of the part's targets.
  private func write(
    _ part: Part, to writer: SafetensorsWriter, _ place: OutputPlace, hashes: [String], threads: Int,
    progress: (@Sendable (Int) -> Void)?
  ) throws -> [Double] {
    let own = Array(targets[part.targets]), metadata = metadata(part), items = items(part), others = others(part)
    let encoder = ConvertEncoder(
      normalises: recipe.normalises, changesDType: recipe.dtype != nil, path: recipe.path)
    let order = own.map(\.sources).longestFirst
    let start = part.targets.lowerBound
    let folds = try concurrentMap(
      count: own.count, threads: threads, order: order, progress: { progress?(start + $0) },
      workspace: FactorWorkspace.init
    ) { index, workspace -> [ConvertEncoder.Fold] in
      let stored = try encoder.stored(own[index], workspace)
      for (name, tensor) in stored.tensors { try tensor.bytes.withUnsafeBytes { try writer.write($0, of: name) } }
      return stored.folds
    }
    for (name, tensor) in others { try tensor.bytes.withUnsafeBytes { try writer.write($0, of: name) } }
    let layout = writer.layout
    try writer.seal { data in
      metadata.entries(
        inputHashes: hashes, dataHash: ContentHash.sha256(data),
        legacyHash: DecomposedPlan.legacyHash(items, metadata: layout.metadata, data: data))
    }
    let written = try Adapter(tensorFile: writer.temporaryPath, configuration: place.configuration)
    try written.keepingReplacements.requireWorkable(allowingUnknown: false)
    @Sendable func fault(_ target: String, _ what: String, _ expected: String, _ found: String) -> MergingError {
      MergingError(.verification(target: target, what: what, expected: expected, found: found), path: place.tensorFile)
    }
    let found = Dictionary(uniqueKeysWithValues: written.targets.map { ($0.names.up, $0) })
    guard found.count == own.count else { throw fault("targets", "count", "\(own.count)", "\(found.count)") }
    let errors = try concurrentMap(
      count: own.count, threads: threads, order: order, workspace: FactorWorkspace.init
    ) { index, workspace -> Double in
      let target = own[index]
      guard let reread = found[target.names.up] else { throw fault(target.name, "name", target.name, "nothing") }
      guard reread.up.shape == target.upShape, reread.down.shape == target.downShape else {
        throw fault(
          target.name, "shape", "\(target.upShape), \(target.downShape)", "\(reread.up.shape), \(reread.down.shape)")
      }
      let error = try encoder.relativeError(target, written: reread, folds: folds[index], workspace)
      guard error.isFinite else { throw fault(target.name, "delta", "that of the input", "another") }
      return error
    }
    if errors.contains(where: { $0 > 0.5 }) {
      // Only now does it matter how large each target is.
      let losses = try concurrentMap(
        count: own.count, threads: threads, order: order, workspace: FactorWorkspace.init
      ) { try encoder.loss(own[$0], relativeError: errors[$0], $1) }
      try RoundingLoss.check(losses, path: recipe.path)
    }
    return errors
  }

  private func writer(
    _ embedding: Embedding, to file: String, hashes: [String], overwriting: Bool
  ) throws -> SafetensorsWriter {
    let metadata = ConvertMetadata(plan: self, targets: []).entries(of: embedding, inputHashes: hashes)
    let layout = SafetensorsLayout(
      embedding.tensors.map { .init(name: $0.name, dtype: $0.tensor.dtype, shape: $0.tensor.shape) },
      metadata: metadata)
    let writer = try SafetensorsWriter(layout: layout, destination: file, overwriting: overwriting)
    for (name, tensor) in embedding.tensors {
      try tensor.bytes.withUnsafeBytes { try writer.write($0, of: name) }
    }
    try writer.seal()
    return writer
  }
}
