import Foundation
import Tensors
import TestSupport
import Testing

/// Ctrl-C in the middle of writing leaves neither an output nor a half-written file.
@Suite struct InterruptionTests {
  @Test("an interrupted resize leaves nothing behind", arguments: [SIGINT, SIGTERM])
  func interrupted(signal: Int32) throws {
    let folder = try TemporaryFolder()
    var noise = SplitMix64(seed: 5)
    var tensors: [(name: String, shape: [Int], dtype: DType, values: [Double])] = []
    let values = noise.gaussians(128 * 1280)
    for index in 0..<40 {
      tensors.append(("lora_unet_blocks_\(index).lora_up.weight", [1280, 128], .f32, values))
      tensors.append(("lora_unet_blocks_\(index).lora_down.weight", [128, 1280], .f32, values))
    }
    let input = folder.file("large.safetensors"), output = folder.file("out.safetensors")
    try writeAdapter(to: input, tensors: tensors, metadata: [])
    let streams = try TemporaryFolder()
    let process = try Tool.start(
      ["resize", input, "-o", output, "--rank", "100", "--threads", "1"], output: streams.file("o"),
      errors: streams.file("e"))
    // The unfinished file shows that writing has begun.
    while process.isRunning, try folder.names == ["large.safetensors"] { usleep(500) }
    kill(process.processIdentifier, signal)
    process.waitUntilExit()
    #expect(process.terminationStatus == 128 + signal)
    #expect(try folder.names == ["large.safetensors"])
  }
}
