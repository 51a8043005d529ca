import Adapters
import Checkpoints
import Factoring
import Files
import Foundation
import GGUF
import JSON
public import LinearAlgebra
import Safetensors
import Synchronization
import Tensors

extension BakePlan {
  /// What a bake would do, measured without writing anything.
  ///
  /// - Parameters:
  ///   - threads: how many weights are worked on at once; the result does not depend on it.
  ///   - progress: called with the number of weights done.
  public func rehearsed(
    output: String, threads: Int, progress: WorkProgress? = nil
  ) throws -> BakeResult {
    let survivals = try run(WeightBaker(plan: self, write: nil, undo: nil), threads: threads, progress: progress)
    return result(survivals, output: output, files: [], bytes: byteCount, undo: nil)
  }

  /// Fails early, before any work, when the output could not be written after it.
  public func checkDestination(_ output: String, undo: String?, overwriting: Bool) throws {
    try checkNames(output, undo: undo)
    for companion in base.companions { InputFiles.note("\(base.folder)/\(companion)") }
    if base.isFolder {
      try StagedFolder.checkDestination(output)
    } else {
      if overwriting, base.files[0].contents.isSameFile(as: output) { throw BakingError(.baseIsOutput, path: output) }
      try TemporaryFile.checkDestination(output, overwriting: overwriting)
    }
    if let undo {
      if overwriting, base.files.contains(where: { $0.contents.isSameFile(as: undo) }) {
        throw BakingError(.baseIsOutput, path: undo)
      }
      try TemporaryFile.checkDestination(undo, overwriting: overwriting)
      guard Self.place(of: undo) != Self.place(of: output) else { throw BakingError(.undoIsOutput, path: undo) }
    }
    try DiskSpace.require(byteCount, for: output)
  }

  /// Refuses a name of another container than the output will be, and an undo file that could not keep its word.
  private func checkNames(_ output: String, undo: String?) throws(BakingError) {
    let own = recipe.container == .gguf ? ".gguf" : ".safetensors", endings = Self.endings.filter { $0 != own }
    if !base.isFolder, let ending = endings.first(where: output.lowercased().hasSuffix) {
      throw BakingError(.outputName(ending: ending, container: recipe.container), path: output)
    }
    guard let undo else { return }
    // Only the bytes of these containers follow from a header and weights, and what is baked must have the base's.
    for file in base.files.map(\.contents) where file.safetensors == nil && (file.gguf == nil || formats == nil) {
      throw BakingError(.noUndo(base: file.path, kind: file.kind), path: undo)
    }
    for file in base.files.compactMap(\.contents.gguf) where !file.hasZeroPadding {
      throw BakingError(.noUndo(base: file.path, kind: "a GGUF file with something between its tensors"), path: undo)
    }
  }

  /// Endings that say what is in a file.
  private static let endings = [".safetensors", ".gguf", ".ckpt", ".pt", ".pth", ".bin"]

  /// A path as the system resolves it, for a file that need not exist.
  private static func place(of path: String) -> String {
    let url = URL(filePath: path)
    return url.deletingLastPathComponent().resolvingSymlinksInPath().appending(path: url.lastPathComponent).path()
  }

  /// Bakes, reads everything back, and only then gives the output its name.
  ///
  /// - Parameters:
  ///   - output: a file, or a new folder where the base is one.
  ///   - undo: where the file goes that takes the bake back.
  ///   - overwriting: whether existing files may be replaced.
  ///   - threads: how many weights are worked on at once; the bytes do not depend on it.
  ///   - progress: called with the number of weights done.
  public func write(
    to output: String, undo: String? = nil, overwriting: Bool, threads: Int,
    progress: WorkProgress? = nil
  ) throws -> BakeResult {
    try checkDestination(output, undo: undo, overwriting: overwriting)
    let recorder = undo.map { _ in UndoRecorder(self) }
    let adapterHashes = InBackground { try self.stack.layers.map { try AdapterHashes.contentHash(of: $0.adapter) } }
    let place = try CheckpointOutput(output, isFolder: base.isFolder, overwriting: overwriting)
    let writers = try base.files.enumerated().map { index, file in
      try place.writer(for: Self.outputPath(of: file.relativePath), layout: layout(ofFile: index))
    }

    // Work goes through the files in order, so that reading, hashing and writing follow each other through the disk.
    let order = base.weights.indices.sorted {
      (base.weights[$0].file, base.weights[$0].entry.range.lowerBound)
        < (base.weights[$1].file, base.weights[$1].entry.range.lowerBound)
    }
    let position = ReadingPosition()
    let baseHashes = InBackground {
      try self.base.files.enumerated().map { index, file in
        try ContentHash.sha256(streaming: file.contents.data) { try position.wait(file: index, offset: $0) }
      }
    }
    // Nothing goes on reading the files after this call, whatever ends it.
    defer {
      position.stop()
      baseHashes.wait()
      adapterHashes.wait()
    }
    let baker = WeightBaker(
      plan: self,
      write: { bytes, index, offset in
        try writers[self.base.weights[index].file].write(bytes, of: self.stored(index).name, at: offset)
      },
      undo: recorder)
    let survivals = try run(baker, threads: threads, order: order, position: position, progress: progress)
    position.release()

    let hashes = try baseHashes.value(), ownHashes = try adapterHashes.value()
    for (index, writer) in writers.enumerated() {
      try writer.seal { metadata(ofFile: index, baseHash: hashes[index], adapterHashes: ownHashes) }
    }
    let undoWriter = try undo.map { try recorder!.write(to: $0, overwriting: overwriting, hashes: hashes) }
    let changed = try changedCompanions()
    for companion in base.companions {
      if let text = changed.first(where: { $0.path == companion })?.new {
        try place.write(Bytes(copying: Array(text.utf8)), to: Self.outputPath(of: companion))
      } else {
        try place.copy(companion, fromFolder: base.folder)
      }
    }
    // The way back gets its name before the way out: a bake without its undo file would be worse than none.
    try place.commit(writers.map(\.file), with: undoWriter.map { [$0.file] } ?? [])
    let files = zip(base.files, writers).map {
      BakeResult.File(path: place.finalPath(of: Self.outputPath(of: $0.relativePath)), bytes: $1.fileCount)
    }
    return result(
      survivals, output: output, files: files, bytes: files.reduce(0) { $0 + $1.bytes },
      undo: undoWriter.map { (undo!, $0.layout.fileCount) })
  }

  // MARK: The run

  private func run(
    _ baker: WeightBaker, threads: Int, order: [Int]? = nil, position: ReadingPosition? = nil,
    progress: WorkProgress?
  ) throws -> [Survival?] {
    try concurrentMap(
      count: base.weights.count, threads: threads, order: order, progress: progress, workspace: AdditionWorkspace.init
    ) { index, workspace in
      let weight = base.weights[index]
      position?.advance(file: weight.file, offset: weight.entry.range.lowerBound)
      return try baker.bake(index, in: workspace)
    }
  }

  private func result(
    _ survivals: [Survival?], output: String, files: [BakeResult.File], bytes: Int, undo: (path: String, bytes: Int)?
  ) -> BakeResult {
    let entries = base.weights.indices.compactMap { index -> BakeResult.Entry? in
      guard weights.additions[index] != nil, let survival = survivals[index] else { return nil }
      let weight = base.weights[index]
      return .init(name: weight.entry.name, block: weight.block, format: formatName(of: index), survival: survival)
    }
    return BakeResult(output: output, entries: entries, files: files, bytes: bytes, undo: undo)
  }

  // MARK: Files

  private func layout(ofFile file: Int) -> CheckpointLayout {
    if let formats, let model = base.files[file].contents.gguf {
      let items = zip(model.entries, formats).map {
        GGUFLayout.Item(name: $0.name, format: $1, shape: $0.storedShape)
      }
      return .gguf(
        GGUFLayout(
          items, like: model, keeping: { !Self.isStale($0) },
          texts: metadata(ofFile: file, baseHash: nil, adapterHashes: nil)))
    }
    let isAlike = base.files[file].contents.safetensors != nil
    let own = base.weights.indices.filter { base.weights[$0].file == file && outputs[$0] != nil }.sorted {
      base.weights[$0].entry.range.lowerBound < base.weights[$1].entry.range.lowerBound
    }
    let items = own.map { index in
      let (name, dtype, shape) = stored(index)
      return SafetensorsLayout.Item(name: name, dtype: dtype, shape: shape)
    }
    let metadata = metadata(ofFile: file, baseHash: nil, adapterHashes: nil)
    return .safetensors(
      isAlike ? SafetensorsLayout(inOrder: items, metadata: metadata) : SafetensorsLayout(items, metadata: metadata))
  }

  /// The base's own metadata without hashes of what changed, and the recipe.
  private func metadata(
    ofFile file: Int, baseHash: String?, adapterHashes: [String]?
  ) -> [(key: String, value: String)] {
    // A GGUF file keeps its own metadata as it stands.
    var entries = formats == nil ? base.files[file].contents.metadata.filter { !Self.isStale($0.key) } : []
    dropDeclarations(ofFile: file, from: &entries)
    // transformers opens no file that does not say so.
    if formats == nil, base.files[file].contents.safetensors == nil { entries.insert(("format", "pt"), at: 0) }
    if entries.contains(where: { $0.key == "modelspec.sai_model_spec" }) {
      let names = [base.path] + recipe.inputs.map(\.path)
      entries.removeAll { $0.key == "modelspec.merged_from" }
      entries.append(("modelspec.merged_from", names.map(fileName).joined(separator: ", ")))
    }
    entries.append(("lathe.version", ToolVersion.current))
    entries.append(("lathe.recipe", recipeText(file: file, baseHash: baseHash, adapterHashes: adapterHashes)))
    return entries
  }

  /// Takes out what headers say of weights that are no codes any more: a file's header may speak of other shards.
  private func dropDeclarations(ofFile file: Int, from entries: inout [(key: String, value: String)]) {
    let folder = base.files[file].folder
    let left = base.weights.indices.filter {
      base.files[base.weights[$0].file].folder == folder && base.weights[$0].quantisation != nil && !keepsCodes($0)
    }
    guard !left.isEmpty else { return }
    let declared = Set(left.compactMap { base.weights[$0].quantisation?.declaredName })
    if let place = entries.firstIndex(where: { $0.key == QuantisationHeader.key }) {
      let text = QuantisationHeader(entries[place].value)?.text(without: declared)
      if let text { entries[place].value = text } else { entries.remove(at: place) }
    }
    // torchao's: a type for each tensor, and their list.
    let names = Set(
      left.map { base.weights[$0] }.filter { $0.stored.name.hasSuffix("_weight_qdata") }.map(\.entry.name))
    guard !names.isEmpty else { return }
    entries.removeAll { names.contains($0.key) }
    if let place = entries.firstIndex(where: { $0.key == "tensor_names" }),
      let list = JSONValue(parsing: entries[place].value)?.array
    {
      entries[place].value = JSONValue.array(list.filter { !names.contains($0.string ?? "") }).compactText
    }
  }

  private static func isStale(_ key: String) -> Bool {
    ["modelspec.hash_sha256", "sshs_model_hash", "sshs_legacy_hash"].contains(key) || key.hasPrefix("lathe.")
  }

  private func recipeText(file: Int, baseHash: String?, adapterHashes: [String]?) -> String {
    let unknown = String(repeating: "0", count: 64)
    let inputs = recipe.inputs.enumerated().map { index, input in
      JSONValue.object([
        "file": .string(fileName(input.path)), "content_sha256": .string(adapterHashes?[index] ?? unknown),
        "strength": .number(input.strength), "text_encoder_strength": .number(input.textEncoderStrength),
        "has_block_weights": .bool(input.blocks != nil),
      ])
    }
    var fields: [String: JSONValue] = [
      "operation": .string("bake"), "inputs": .array(inputs), "rounding": .string(roundingNames),
      "base": .object([
        "file": .string(base.files[file].relativePath), "content_sha256": .string(baseHash ?? unknown),
      ]),
    ]
    if recipe.rounding == .stochastic { fields["seed"] = .string(String(recipe.seed)) }
    if let dtype = recipe.blocks?.name ?? recipe.dtype?.rawValue { fields["dtype"] = .string(dtype) }
    if recipe.requantises { fields["requantise"] = .bool(true) }
    return JSONValue.object(fields).compactText
  }
}

/// How far the work has come through the base's files, for a reader that must not run far ahead of it.
private final class ReadingPosition: Sendable {
  private static let lead = 256 << 20
  private enum State {
    case at(file: Int, offset: Int)
    /// The work is done: the reader need not wait any more.
    case released
    case stopped
  }

  private let state = Mutex(State.at(file: 0, offset: 0))

  func advance(file: Int, offset: Int) {
    state.withLock { state in
      guard case .at(let oldFile, let oldOffset) = state, (file, offset) > (oldFile, oldOffset) else { return }
      state = .at(file: file, offset: offset)
    }
  }

  func release() { state.withLock { $0 = .released } }
  func stop() { state.withLock { $0 = .stopped } }

  /// Waits until the work has come close to this place.
  ///
  /// - Throws: `CancellationError` when it was stopped.
  func wait(file: Int, offset: Int) throws {
    while true {
      switch state.withLock({ $0 }) {
      case .at(let done, let place) where file > done || file == done && offset > place + Self.lead: usleep(2000)
      case .at, .released: return
      case .stopped: throw CancellationError()
      }
    }
  }
}

extension WeightFile {
  fileprivate func isSameFile(as other: String) -> Bool {
    func identity(_ path: String) -> [UInt64]? {
      var status = stat()
      guard stat(path, &status) == 0 else { return nil }
      return [UInt64(status.st_dev), UInt64(status.st_ino)]
    }
    guard let own = identity(path) else { return false }
    return own == identity(other)
  }
}
