public import Checkpoints
import Kernels
public import Tensors

/// Sees what goes into the layers of a network that is made with it, and may change what comes out of them.
///
/// It is asked on `KernelThread`, at every call of every layer.
public protocol LayerTap: AnyObject {
  /// Called before a layer computes.
  ///
  /// - Parameter weights: of the layer; several where one product computes layers with the same input.
  func willCompute(_ weights: [WeightName], on inputs: LayerInputs)

  /// What is added to a weight for now: as large as the weight, in its shape; `nil` for nothing.
  func change(of weight: WeightName) -> Tensor?
}

/// What goes into a layer, as its weight seen as a matrix sees it: a row of numbers for each token, or for each place that a
/// convolution's kernel is laid on.
public struct LayerInputs {
  private let map: FeatureMap
  private let patches: Patches?
  /// How many rows there are: tokens, or places of the kernel.
  public var count: Int { map.batch * (patches.map { target($0).area } ?? map.pixels) }

  /// How a convolution of 3 × 3 walks over its input.
  struct Patches {
    let geometry: ConvolutionGeometry
    /// What the input is enlarged to first.
    let size: MapSize?
  }

  init(_ map: FeatureMap, patches: Patches? = nil) { (self.map, self.patches) = (map, patches) }

  /// Numbers of a row: the columns of the weight.
  public var columns: Int { map.channels * (patches == nil ? 1 : 9) }

  /// Shows all rows, some at a time, row-major.
  public func forEachPart(_ body: (UnsafeBufferPointer<Double>) -> Void) {
    guard let patches else { return forEachTokens(map.values, body) }
    let source = map.size, enlarged = patches.size ?? source, values = map.values
    let target = target(patches), channels = map.channels
    var rows = [Double](repeating: 0, count: target.width * columns)
    for sample in 0..<map.batch {
      for y in 0..<target.height {
        for x in 0..<target.width {
          for dy in 0..<3 {
            for dx in 0..<3 {
              let py = y * patches.geometry.stride + dy - patches.geometry.before.height
              let px = x * patches.geometry.stride + dx - patches.geometry.before.width
              let isInside = py >= 0 && py < enlarged.height && px >= 0 && px < enlarged.width
              // Enlarging repeats the nearest pixel.
              let pixel =
                (sample * source.height + py * source.height / enlarged.height) * source.width
                + px * source.width / enlarged.width
              let place = x * columns + dy * 3 + dx
              for channel in 0..<channels {
                rows[place + channel * 9] = isInside ? Double(values[pixel * channels + channel]) : 0
              }
            }
          }
        }
        rows.withUnsafeBufferPointer(body)
      }
    }
  }

  private func target(_ patches: Patches) -> MapSize {
    patches.geometry.outputSize(patches.size ?? map.size, kernel: MapSize(height: 3, width: 3))
  }

  private func forEachTokens(_ values: [Float], _ body: (UnsafeBufferPointer<Double>) -> Void) {
    let part = 256 * columns
    for start in stride(from: 0, to: values.count, by: part) {
      values[start..<min(start + part, values.count)].map(Double.init).withUnsafeBufferPointer(body)
    }
  }
}

/// A product that a tap sees.
final class TappedLinear: Linear {
  private let layer: any Linear
  private let weights: [(name: WeightName, shape: [Int])]
  private let tap: any LayerTap
  private let backend: any Backend

  /// - Parameter weights: whose outputs stand one behind the other, with their rows and columns.
  init(_ layer: any Linear, _ weights: [(name: WeightName, shape: [Int])], tap: any LayerTap, backend: any Backend) {
    (self.layer, self.weights, self.tap, self.backend) = (layer, weights, tap, backend)
  }

  var outputs: Int { layer.outputs }

  func callAsFunction(_ x: FeatureMap, as format: NumberFormat) -> FeatureMap {
    tap.willCompute(weights.map(\.name), on: LayerInputs(x))
    var result = layer(x, as: format)
    change?.add(x, to: &result)
    return result
  }

  func add(_ x: FeatureMap, to sum: inout FeatureMap) {
    tap.willCompute(weights.map(\.name), on: LayerInputs(x))
    layer.add(x, to: &sum)
    change?.add(x, to: &sum)
  }

  private var change: (any Linear)? {
    let changes = weights.map { tap.change(of: $0.name) }
    guard changes.contains(where: { $0 != nil }) else { return nil }
    let parts = zip(weights, changes).map { weight, change in
      change
        ?? Tensor(
          [Double](repeating: 0, count: weight.shape[0] * weight.shape[1]), shape: Shape(weight.shape), dtype: .f32)
    }
    return backend.linear(weight: parts.joined, bias: nil, precision: .f32)
  }
}

/// A convolution that a tap sees.
final class TappedConvolution: Convolution {
  private let layer: any Convolution
  private let name: WeightName
  private let geometry: ConvolutionGeometry
  private let tap: any LayerTap
  private let backend: any Backend
  /// Makes a convolution of another weight.
  private let make: (Tensor) -> any Convolution

  init(
    _ layer: any Convolution, _ name: WeightName, geometry: ConvolutionGeometry, tap: any LayerTap,
    backend: any Backend, make: @escaping (Tensor) -> any Convolution
  ) {
    (self.layer, self.name, self.geometry, self.tap, self.backend) = (layer, name, geometry, tap, backend)
    self.make = make
  }

  func callAsFunction(_ x: FeatureMap, after factors: NormFactors?, enlargedTo size: MapSize?) -> FeatureMap {
    show(x, after: factors, enlargedTo: size)
    var result = layer(x, after: factors, enlargedTo: size)
    if let change = tap.change(of: name).map(make) {
      backend.add(change(x, after: factors, enlargedTo: size), to: &result)
    }
    return result
  }

  func add(_ x: FeatureMap, after factors: NormFactors?, to sum: inout FeatureMap) {
    show(x, after: factors, enlargedTo: nil)
    layer.add(x, after: factors, to: &sum)
    tap.change(of: name).map(make)?.add(x, after: factors, to: &sum)
  }

  private func show(_ x: FeatureMap, after factors: NormFactors?, enlargedTo size: MapSize?) {
    let input = factors.map { backend.normalized(x, by: $0, as: .f32) } ?? x
    tap.willCompute([name], on: LayerInputs(input, patches: .init(geometry: geometry, size: size)))
  }
}
