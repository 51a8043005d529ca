public import Checkpoints
import Kernels
public import Models

/// What a component's weights take of memory in the layouts that kernels read, from shapes alone.
struct WeightMemory {
  /// What a thread's tiles of a transformed convolution take, in bytes.
  static let scratch = 8 << 20

  /// Where a weight is used, as far as its layout depends on it.
  struct Place {
    /// Of the maps that it makes.
    let size: MapSize
    var isHalving = false
    var enlarges = false
  }

  private let weights: [(name: String, shape: [Int])]
  private let precision: Precision

  init(_ checkpoint: Checkpoint, _ component: Component, precision: Precision = .f32) {
    weights = checkpoint.names(of: component).compactMap { name in
      checkpoint.weight(named: WeightName(component, name)).map { (name, $0.shape.extents) }
    }
    self.precision = precision
  }

  var names: [String] { weights.map(\.name) }

  /// How many numbers the weights have.
  var elements: Int { weights.reduce(0) { $0 + $1.shape.reduce(1, *) } }

  /// Bytes of the weights, and of what lies free between them.
  ///
  /// - Parameter place: of a weight by its name; `nil` for one that is not loaded.
  func bytes(_ place: (String) -> Place?) -> Int {
    weights.reduce(arranging) { sum, weight in
      sum + (place(weight.name).map { bytes(weight.shape, $0) } ?? 0)
    }
  }

  /// What lies free between weights while each is widened to f32 and put into the layout of its kernels, the first ones before
  /// they meet a map and know which it is: measured, for networks of the real sizes, as up to three of the largest.
  private var arranging: Int { 3 * 4 * (weights.map { $0.shape.reduce(1, *) }.max() ?? 0) }

  /// A weight as kernels keep it: convolutions with a kernel on large maps as transformed tiles, in f32.
  private func bytes(_ shape: [Int], _ place: Place) -> Int {
    let elements = shape.reduce(1, *)
    guard shape.count > 1 else { return 4 * elements }
    let isKernel = shape.count == 4 && Array(shape[2...]) == [3, 3] && !place.isHalving
    if isKernel, NativeBackend.transforms(shape, place.size, precision) {
      return Self.pooled(4 * elements * (place.enlarges ? 25 : 36) / 9)
    }
    return Self.pooled((precision == .f32 ? 4 : 2) * elements * (isKernel && place.enlarges ? 16 : 9) / 9)
  }

  /// Large pieces of a pool's memory are whole huge pages.
  private static func pooled(_ bytes: Int) -> Int {
    let page = 2 << 20
    return bytes < page ? bytes : (bytes + page - 1) / page * page
  }
}

extension CLIPTextEncoder {
  /// What reading texts takes of memory, in bytes, from shapes alone: all weights in f32.
  public static func memory(_ checkpoint: Checkpoint, _ component: Component) -> Int {
    4 * WeightMemory(checkpoint, component).elements
  }
}
