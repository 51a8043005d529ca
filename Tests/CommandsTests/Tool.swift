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
  static func run(_ arguments: [String], standardOutput: String? = nil, in folder: String? = nil) throws -> Run {
    let streams = try TemporaryFolder()
    let output = standardOutput ?? streams.file("output"), errors = streams.file("errors")
    let process = try start(arguments, output: output, errors: errors, in: folder)
    process.waitUntilExit()
    func text(_ path: String) throws -> String {
      String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
    }
    return Run(
      status: process.terminationStatus, output: standardOutput == nil ? try text(output) : "", errors: try text(errors)
    )
  }

  static func start(_ arguments: [String], output: String, errors: String, in folder: String? = nil) throws -> Process {
    let process = Process()
    process.executableURL = URL(filePath: path)
    process.arguments = arguments
    if let folder { process.currentDirectoryURL = URL(filePath: folder) }
    // Help text is wrapped to the terminal's width; tests have one of their own.
    process.environment = ProcessInfo.processInfo.environment.merging(["COLUMNS": "100"]) { $1 }
    for path in [output, errors] where !path.hasPrefix("/dev/") { try Data().write(to: URL(filePath: path)) }
    process.standardOutput = try FileHandle(forWritingTo: URL(filePath: output))
    process.standardError = try FileHandle(forWritingTo: URL(filePath: errors))
    process.standardInput = FileHandle.nullDevice
    try process.run()
    return process
  }
}

/// Small adapters for command tests.
enum Fixture {
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
