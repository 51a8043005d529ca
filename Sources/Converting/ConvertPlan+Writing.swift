import Adapters
import Factoring
import Files
public import LinearAlgebra
import Safetensors
import Spectra
import Tensors

extension ConvertPlan {
  /// What writing would give, without errors, which only the written file tells.
  public func prediction(output: String) throws -> ConvertResult {
    let bytes = parts.reduce(0) { $0 + size($1) }
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
  /// - Throws: `FileError` when the output cannot be written, `FactoringError` when a value does not fit or the
  ///   file does not hold what it should.
  public func write(
    to output: String, overwriting: Bool, threads: Int, progress: WorkProgress? = nil
  ) throws -> ConvertResult {
    let places = try ConvertPlaces(output, plan: self)
    try places.check(overwriting: overwriting)
    let hashes = try adapters.map { [try AdapterHashes.contentHash(of: $0)] }
    let writers = zip(parts, try places.files(overwriting: overwriting)).map { writer(for: $0, to: $1) }
    var errors: [Double] = [], bytes = writers.reduce(0) { $0 + $1.byteCount }
    for (part, writer) in zip(parts, writers) {
      errors += try write(part, to: writer, hashes: hashes, threads: threads, progress: progress)
    }
    var others: [any Unpublished] = []
    for (embedding, file) in zip(embeddings, places.embeddings) {
      let writer = try self.writer(embedding, to: file, hashes: hashes, overwriting: overwriting)
      bytes += writer.layout.fileCount
      others.append(writer.file)
    }
    // Several adapters are in one folder, which has one name.
    let outputs = try writers.map { try $0.completed() }
    try Publication.publish((places.isSeveral ? Array(outputs.prefix(1)) : outputs) + others)
    return ConvertResult(output: output, bytes: bytes, entries: entries { errors[$0] }, splitOut: places.embeddings)
  }

  /// Bookkeeping goes into the first file.
  private func others(_ part: Part) -> [(name: String, tensor: Tensor)] {
    part.targets.lowerBound == 0 ? passedThrough : []
  }

  private func size(_ part: Part) -> Int {
    let own = targets[part.targets]
    return SafetensorsLayout(
      own.flatMap(\.items) + others(part).items, metadata: metadata(for: own).entries(ranks: own.map(\.rank))
    ).fileCount
  }

  private func writer(for part: Part, to files: OutputFiles) -> AdapterWriter {
    let own = targets[part.targets]
    return AdapterWriter(
      own.flatMap(\.items), others: others(part), metadata: metadata(for: own), ranks: own.map(\.rank), to: files)
  }

  private func entries(_ error: (Int) -> Double?) -> [ConvertResult.Entry] {
    targets.enumerated().flatMap { index, target in
      target.sources.map { ConvertResult.Entry(name: $0.name, newName: target.name, relativeError: error(index)) }
    }
  }

  /// The relative error of each of the part's targets.
  private func write(
    _ part: Part, to writer: AdapterWriter, hashes: [[String]], threads: Int, progress: WorkProgress?
  ) throws -> [Double] {
    let own = Array(targets[part.targets])
    let encoder = ConvertEncoder(
      normalises: recipe.normalises, changesDType: recipe.dtype != nil, path: recipe.path)
    let order = own.map(\.sources).longestFirst
    let start = part.targets.lowerBound
    let folds = try concurrentMap(
      count: own.count, threads: threads, order: order, progress: { try progress?(start + $0) },
      workspace: FactorWorkspace.init
    ) { index, workspace -> [ConvertEncoder.Fold] in
      let stored = try encoder.stored(own[index], workspace)
      for (name, tensor) in stored.tensors { try writer.write(tensor, of: name) }
      return stored.folds
    }
    try writer.seal(inputHashes: hashes)
    let found = try writer.reread(own.map(\.expectation), isWhole: true)
    let errors = try concurrentMap(
      count: own.count, threads: threads, order: order, workspace: FactorWorkspace.init
    ) { index, workspace -> Double in
      let target = own[index]
      let reread = found[target.names.up]!
      let error = try encoder.relativeError(target, written: reread, folds: folds[index], workspace)
      guard error.isFinite else { throw writer.fault(target.name, "delta", "that of the input", "another") }
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
    _ embedding: Embedding, to file: String, hashes: [[String]], overwriting: Bool
  ) throws -> SafetensorsWriter {
    let items = embedding.tensors.items, metadata = metadata(of: embedding)
    let layout = SafetensorsLayout(items, metadata: metadata.entries(ranks: [], inputHashes: hashes))
    let writer = try SafetensorsWriter(layout: layout, destination: file, overwriting: overwriting)
    for (name, tensor) in embedding.tensors {
      try tensor.bytes.withUnsafeBytes { try writer.write($0, of: name) }
    }
    try writer.seal()
    return writer
  }
}
