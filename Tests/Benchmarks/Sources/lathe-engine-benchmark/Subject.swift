import Checkpoints
import Foundation
import Kernels
import Models
import Networks
import Safetensors
import Tensors

/// A network with its inputs, ready to be run.
final class Subject {
  let loadSeconds: Double
  private let backend: NativeBackend
  private let body: () -> FeatureMap
  private let checkOutput: () throws -> String?

  init(folder: String, task: EngineBenchmark.Task, precision: Precision, size: Int, threads: Int) throws {
    let checkpoint = try Checkpoint(path: folder), measures = try UNetConfiguration(of: checkpoint)
    let latentSize = MapSize(height: size, width: size), start = ContinuousClock.now
    let backend = KernelThread.run {
      // Texts and pictures are always computed in f32.
      NativeBackend(precision: task == .unet ? precision : .f32, threads: threads)
    }
    self.backend = backend
    switch task {
    case .unet:
      let network = try KernelThread.run {
        try UNet(measures, weights: checkpoint, backend: backend, expecting: latentSize)
      }
      let conditions = Self.conditions(measures, count: 2), channels = measures.contextChannels
      body = {
        let time = network.prepare(times: [[500, 500]], conditions: conditions)[0]
        let text = network.prepare(text: Self.wave(2, 1, 77, channels, backend.pool))
        return network(Self.wave(2, size, size, 4, backend.pool), time: time, text: text)
      }
      checkOutput = { try Self.compareUNet(network, folder: folder, pool: backend.pool) }
    case .vae:
      let decoder = try KernelThread.run {
        try AutoencoderDecoder(
          AutoencoderConfiguration(of: checkpoint), weights: checkpoint, backend: backend, expecting: latentSize)
      }
      body = { decoder(Self.wave(1, size, size, 4, backend.pool)) }
      checkOutput = { try Self.compareDecoder(decoder, folder: folder, pool: backend.pool) }
    case .text:
      let encoders = try KernelThread.run {
        try [Component.textEncoder1, .textEncoder2].filter { !checkpoint.weights(of: $0).isEmpty }.map {
          try CLIPTextEncoder(
            CLIPConfiguration(of: checkpoint, $0), weights: checkpoint, $0, backend: backend)
        }
      }
      let ids = [[Int32](repeating: 320, count: 77), [Int32](repeating: 1125, count: 77)]
      body = { encoders.map { $0.hiddenStates(of: ids).last! }.last! }
      checkOutput = { nil }
    }
    loadSeconds = (ContinuousClock.now - start) / .seconds(1)
  }

  /// Runs once, which also prepares the kernels, and compares with diffusers where its answer is there.
  func check() throws -> String? {
    try KernelThread.run {
      _ = body()
      return try checkOutput()
    }
  }

  /// The seconds of one run.
  func measure() throws -> Double {
    KernelThread.run {
      backend.stopwatch.reset()
      let start = ContinuousClock.now
      _ = body()
      return (ContinuousClock.now - start) / .seconds(1)
    }
  }

  /// Where the time of the last run went.
  var times: String {
    backend.stopwatch.times.sorted { $0.value > $1.value }
      .map { "\($0.key.rawValue) \(String(format: "%.2f", $0.value / .seconds(1)))" }.joined(separator: ", ")
  }

  private static func wave(_ batch: Int, _ height: Int, _ width: Int, _ channels: Int, _ pool: any MemoryPool)
    -> FeatureMap
  {
    let count = batch * height * width * channels
    return FeatureMap(
      (0..<count).map { Float(sin(Double($0))) }, batch: batch, height: height, width: width, channels: channels,
      pool: pool)
  }

  private static func conditions(_ measures: UNetConfiguration, count: Int) -> [UNet.Condition] {
    var condition = UNet.Condition()
    if let added = measures.addedChannels, let width = measures.sizeChannels {
      condition.pooledText = Array(repeating: 0.1, count: added - 6 * width)
      condition.sizes = [512, 512, 0, 0, 512, 512]
    }
    return Array(repeating: condition, count: count)
  }

  // MARK: Diffusers' answers

  private static func compareUNet(_ network: UNet, folder: String, pool: any MemoryPool) throws -> String? {
    guard let inputs = try? SafetensorsFile(path: "\(folder)/forward/unet-inputs.safetensors") else { return nil }
    let outputs = try SafetensorsFile(path: "\(folder)/forward/unet-outputs.safetensors")
    func values(_ name: String) -> [Float] { inputs["full/\(name)"]?.floats() ?? [] }
    let extents = inputs["full/sample"]!.shape.extents, text = inputs["full/context"]!.shape.extents
    var condition = UNet.Condition()
    condition.pooledText = values("pooled")
    condition.sizes = values("time_ids")
    let output = network(
      FeatureMap(
        planar: values("sample"), batch: 1, channels: extents[1], height: extents[2], width: extents[3], pool: pool),
      time: network.prepare(times: [values("timestep")], conditions: [condition])[0],
      text: network.prepare(
        text: FeatureMap(values("context"), batch: 1, height: 1, width: text[1], channels: text[2], pool: pool)))
    return difference(output.planarValues, outputs["full/output"]!.floats())
  }

  private static func compareDecoder(_ decoder: AutoencoderDecoder, folder: String, pool: any MemoryPool) throws
    -> String?
  {
    guard let inputs = try? SafetensorsFile(path: "\(folder)/forward/vae-inputs.safetensors") else { return nil }
    let outputs = try SafetensorsFile(path: "\(folder)/forward/vae-outputs.safetensors")
    let latent = inputs["full/latent"]!, extents = latent.shape.extents, scale = decoder.configuration.scale
    // The stored latent has been divided by the scale already.
    let map = FeatureMap(
      planar: latent.floats().map { $0 * scale }, batch: extents[0], channels: extents[1], height: extents[2],
      width: extents[3], pool: pool)
    return difference(decoder(map).planarValues, outputs["full/image"]!.floats())
  }

  private static func difference(_ own: [Float], _ expected: [Float]) -> String {
    let count = Double(expected.count), mean = expected.reduce(0) { $0 + Double($1) } / count
    let deviation = (expected.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / count).squareRoot()
    let errors = zip(own, expected).map { abs(Double($0) - Double($1)) }
    let rms = (errors.reduce(0) { $0 + $1 * $1 } / count).squareRoot()
    let largest = errors.contains { $0.isNaN } ? .nan : errors.max() ?? .nan
    return String(
      format: "largest difference %.2g, root mean square %.2g of the output's deviation", largest / deviation,
      rms / deviation)
  }
}
