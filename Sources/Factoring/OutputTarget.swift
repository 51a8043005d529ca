package import Adapters
public import Models
package import Safetensors
package import Spectra
public import Tensors

/// One target of the adapter to be written: where its delta comes from and how it is spelled.
public struct OutputTarget: Sendable {
  /// The target under any dialect.
  public let key: TargetKey
  /// As the output spells it.
  public let name: String
  /// The module's name in the base with dots, where it is known.
  package let dottedPath: String?
  package let names: Target.TensorNames
  package private(set) var delta: DeltaSum
  /// For each term of the delta, which of the recipe's inputs it is from.
  package let sources: [Int]
  /// The number format of both written factors.
  public internal(set) var dtype: DType
  /// Kernel extents of both factors; empty for factors stored as matrices.
  package let kernel: [Int]
  package let inputs: Int
  package let scaling: Scaling
  /// ‖·‖²_F of what the delta's factors leave out of it.
  var outside = 0.0
  /// Of a DoRA, whose delta here is the low-rank part.
  package var magnitude: BoundMagnitude?

  /// What the product of the written factors is multiplied by.
  package enum Scaling: Sendable {
    /// Nothing: the factors are the delta.
    case none
    /// The number in the tensor that stands in alpha's place.
    case scale(Double)
    /// Alpha ÷ rank, with the file's common alpha (`SharedAlpha`).
    case alpha
  }

  package init(
    key: TargetKey, name: String, dottedPath: String?, names: Target.TensorNames, delta: DeltaSum, sources: [Int],
    dtype: DType, kernel: [Int], inputs: Int, scaling: Scaling
  ) {
    (self.key, self.name, self.dottedPath, self.names) = (key, name, dottedPath, names)
    (self.delta, self.sources, self.dtype) = (delta, sources, dtype)
    (self.kernel, self.inputs, self.scaling) = (kernel, inputs, scaling)
  }

  /// The same target of another delta.
  func making(_ delta: DeltaSum) -> OutputTarget {
    var target = self
    target.delta = delta
    return target
  }

  package var usesAlpha: Bool { if case .alpha = scaling { true } else { false } }

  /// The largest rank among the adapters that have this target.
  public var rankBefore: Int {
    Dictionary(grouping: zip(sources, delta.terms), by: \.0).values.map { $0.reduce(0) { $0 + $1.1.target.rank } }
      .max()!
  }

  package var isConvolution: Bool { kernel.contains { $0 > 1 } }

  package func upShape(rank: Int) -> Shape {
    Shape([delta.rows, rank] + kernel.map { _ in 1 })
  }

  package func downShape(rank: Int) -> Shape {
    Shape([rank, inputs] + kernel)
  }

  /// The tensors at the given rank, as the layout wants them.
  package func items(rank: Int) -> [SafetensorsLayout.Item] {
    var items = [
      SafetensorsLayout.Item(name: names.up, dtype: dtype, shape: upShape(rank: rank)),
      SafetensorsLayout.Item(name: names.down, dtype: dtype, shape: downShape(rank: rank)),
    ]
    // Alphas are always single precision: half precision could not hold scale · rank exactly.
    if let alpha = names.alpha { items.append(SafetensorsLayout.Item(name: alpha, dtype: .f32, shape: [])) }
    if let magnitude {
      items.append(SafetensorsLayout.Item(name: magnitude.name, dtype: magnitude.dtype, shape: magnitude.shape))
    }
    return items
  }

  /// What a reader must find.
  package func expectation(rank: Int, scale: Double) -> AdapterWriter.Expectation {
    .init(name: name, tensor: names.up, upShape: upShape(rank: rank), downShape: downShape(rank: rank), scale: scale)
  }

  /// The tensors for the model of the file's size.
  package func parts(index: Int) -> [FileSizeModel.Part] {
    items(rank: 1).map {
      FileSizeModel.Part(target: index, item: $0, growsWithRank: [names.up, names.down].contains($0.name))
    }
  }
}
