import Foundation
import Tensors
import TestSupport

/// The built `lathe`, run the way a person or a script runs it.
enum Tool {
  struct Run {
    var status: Int32
    var output: String
    var errors: String

    /// The report as JSON; an empty dictionary when it is none.
    var json: [String: Any] {
      (try? JSONSerialization.jsonObject(with: Data(output.utf8))) as? [String: Any] ?? [:]
    }
  }

  /// Beside the test program, or where `LATHE` says.
  static let path: String = {
    if let path = ProcessInfo.processInfo.environment["LATHE"] { return path }
    let program =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return (program as NSString).deletingLastPathComponent + "/lathe"
  }()

  /// Runs the tool to its end. Both streams go to files, so that neither can fill a pipe and stop it.
  ///
  /// - Parameter shell: a command for the shell that starts the tool: `ulimit -f 100`.
  static func run(
    _ arguments: [String], standardOutput: String? = nil, in folder: String? = nil, after shell: String? = nil
  ) throws -> Run {
    let streams = try TemporaryFolder()
    let output = standardOutput ?? streams.file("output"), errors = streams.file("errors")
    let process = try start(arguments, output: output, errors: errors, in: folder, after: shell)
    process.waitUntilExit()
    func text(_ path: String) throws -> String {
      String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
    }
    return Run(
      status: process.terminationStatus, output: standardOutput == nil ? try text(output) : "", errors: try text(errors)
    )
  }

  static func start(
    _ arguments: [String], output: String, errors: String, in folder: String? = nil, after shell: String? = nil
  ) throws -> Process {
    let process = Process()
    process.executableURL = URL(filePath: shell == nil ? path : "/bin/sh")
    process.arguments = (shell.map { ["-c", $0 + #" && exec "$0" "$@""#, path] } ?? []) + arguments
    if let folder { process.currentDirectoryURL = URL(filePath: folder) }
    // Help text is wrapped to the terminal's width; tests have one of their own, and caches where their files are.
    let caches = (errors as NSString).deletingLastPathComponent + "/caches"
    process.environment = ProcessInfo.processInfo.environment.merging(["COLUMNS": "100", "XDG_CACHE_HOME": caches]) {
      $1
    }
    for path in [output, errors] where !path.hasPrefix("/dev/") { try Data().write(to: URL(filePath: path)) }
    process.standardOutput = try FileHandle(forWritingTo: URL(filePath: output))
    process.standardError = try FileHandle(forWritingTo: URL(filePath: errors))
    process.standardInput = FileHandle.nullDevice
    try process.run()
    return process
  }
}

/// Small files for command tests.
enum Fixture {
  /// A checkpoint that `adapter` fits, with a weight more.
  static func base(
    in folder: TemporaryFolder, _ name: String = "base.safetensors", dtype: DType = .bf16, context: Int = 768
  ) throws -> String {
    let path = folder.file(name), prefix = "model.diffusion_model.input_blocks."
    try writeAdapter(
      to: path,
      tensors: [
        filler(prefix + "0.0.weight", [32, 4, 3, 3], dtype, seed: 1),
        filler(prefix + "1.0.in_layers.2.weight", [32, 16, 3, 3], dtype, seed: 2),
        filler(prefix + "1.1.transformer_blocks.0.attn1.to_q.weight", [32, 32], dtype, seed: 3),
        filler(prefix + "1.1.transformer_blocks.0.attn2.to_k.weight", [32, context], dtype, seed: 4),
      ], metadata: [("note", "of the base")])
    return path
  }

  /// A checkpoint of `count` weights of 4 MB and an adapter for all of them: work for some tenths of a second.
  static func large(
    in folder: TemporaryFolder, count: Int = 16, shards: Int = 1
  ) throws -> (base: String, adapter: String) {
    var random = SplitMix64(seed: 2)
    let words = (0..<2 << 20).map { _ in UInt16(0x2800 + random.below(0x1000) + 0x8000 * random.below(2)) }
    let data = words.withUnsafeBytes(Array.init)
    let base = folder.file(shards == 1 ? "base.safetensors" : "base")
    if shards > 1 { try FileManager.default.createDirectory(atPath: base, withIntermediateDirectories: false) }
    var places: [String] = []
    for shard in 0..<shards {
      let own = count / shards * shard..<count / shards * (shard + 1)
      let header = own.map {
        #""w\#($0).weight":{"dtype":"F16","shape":[1024,2048],"data_offsets":"#
          + "[\(($0 - own.lowerBound) * data.count),\(($0 - own.lowerBound + 1) * data.count)]}"
      }.joined(separator: ",")
      let raw = RawSafetensors(header: "{\(header)}", data: own.flatMap { _ in data })
      let name = "model-\(shard + 1).safetensors"
      try Data(raw.bytes).write(to: URL(filePath: shards == 1 ? base : "\(base)/\(name)"))
      places += own.map { #""w\#($0).weight":"\#(name)""# }
    }
    if shards > 1 {
      try Data(#"{"weight_map":{\#(places.joined(separator: ","))}}"#.utf8).write(
        to: URL(filePath: base + "/model.safetensors.index.json"))
    }
    let adapter = folder.file("large.safetensors")
    let up = random.gaussians(1024 * 4).map { $0 * 0.001 }, down = random.gaussians(4 * 2048)
    try writeAdapter(
      to: adapter,
      tensors: (0..<count).flatMap { index -> [NamedValues] in
        [
          ("lora_unet_w\(index).lora_up.weight", [1024, 4], .f16, up),
          ("lora_unet_w\(index).lora_down.weight", [4, 2048], .f16, down),
        ]
      })
    return (base, adapter)
  }

  /// An SD1.5-like adapter with kohya's names: two linear targets and a convolution, rank 4, alpha 2.
  static func adapter(in folder: TemporaryFolder, _ name: String = "style.safetensors", seed: UInt64 = 1) throws
    -> String
  {
    var noise = SplitMix64(seed: seed)
    let prefix = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_"
    var tensors: [(name: String, shape: [Int], dtype: DType, values: [Double])] = []
    for (target, up, down) in [
      (prefix + "attn2_to_k", [32, 4], [4, 768]), (prefix + "attn1_to_q", [32, 4], [4, 32]),
      ("lora_unet_down_blocks_0_resnets_0_conv1", [32, 4, 1, 1], [4, 16, 3, 3]),
    ] {
      tensors.append((target + ".lora_up.weight", up, .f32, noise.gaussians(up.reduce(1, *))))
      tensors.append((target + ".lora_down.weight", down, .f32, noise.gaussians(down.reduce(1, *))))
      tensors.append((target + ".alpha", [], .f32, [2]))
    }
    let path = folder.file(name)
    try writeAdapter(
      to: path, tensors: tensors,
      metadata: [
        ("ss_network_dim", "4"), ("ss_network_alpha", "2"), ("ss_base_model_version", "sd_v1"),
        ("ss_tag_frequency", #"{"a":{"blue hair":3,"smile":9}}"#),
      ])
    return path
  }
}
