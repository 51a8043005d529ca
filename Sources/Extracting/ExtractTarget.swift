import Adapters
import Checkpoints
import Factoring
public import Models
import Safetensors
public import Tensors

/// A weight of both checkpoints and its place in the adapter.
public struct ExtractTarget: Sendable {
  /// How the adapter holds the weight's change.
  public enum Holding: Sendable, Equatable {
    /// As two factors of low rank.
    case factors
    /// As it is: vectors, embeddings and tables have no low rank to gain from.
    case full
    /// Not at all, for this reason.
    case nothing(String)
    /// Not at all, because the dialect has no name for it, for this reason; a change of it is an error where that is not allowed.
    case unnamed(String)
  }

  /// As factors, in full, or not at all.
  public let holding: Holding
  /// The target under any dialect.
  public let key: TargetKey
  /// The tensor with its component, for messages: `denoiser.conv_in.weight`.
  public let weightName: String
  /// The module as the output spells it.
  public let name: String
  /// For a change held in full `up` is the name of its only tensor.
  let names: Target.TensorNames
  /// The module's name in the base with dots.
  let dottedPath: String
  let base: NamedWeight
  let tuned: NamedWeight
  /// Of the weight, as the base has it.
  public let shape: Shape
  /// Whether the weight is stored (inputs, outputs).
  let isTransposed: Bool

  /// Why a change of it is not held.
  var reason: String? {
    switch holding {
    case .nothing(let reason), .unnamed(let reason): reason
    case .factors, .full: nil
    }
  }

  /// Rows of the delta seen as a matrix: output channels.
  var rows: Int { isTransposed ? shape[1] : shape.flattened.rows }
  var columns: Int { isTransposed ? shape[0] : shape.flattened.columns }
  var kernel: [Int] { Array(shape.extents.dropFirst(2)) }
  var isConvolution: Bool { kernel.contains { $0 > 1 } }
  /// The most components that the delta can have.
  public var fullRank: Int { min(rows, columns) }
  var scaling: OutputTarget.Scaling { names.alpha == nil ? .none : .alpha }

  /// The tensors of the factors at the given rank.
  func items(rank: Int, dtype: DType) -> [SafetensorsLayout.Item] {
    let inputs = columns / kernel.reduce(1, *)
    var items = [
      SafetensorsLayout.Item(name: names.up, dtype: dtype, shape: Shape([rows, rank] + kernel.map { _ in 1 })),
      SafetensorsLayout.Item(name: names.down, dtype: dtype, shape: Shape([rank, inputs] + kernel)),
    ]
    if let alpha = names.alpha { items.append(SafetensorsLayout.Item(name: alpha, dtype: .f32, shape: [])) }
    return items
  }

  /// What a reader must find.
  func expectation(rank: Int, dtype: DType, scale: Double) -> AdapterWriter.Expectation {
    let items = items(rank: rank, dtype: dtype)
    return .init(name: name, tensor: names.up, upShape: items[0].shape, downShape: items[1].shape, scale: scale)
  }

  func fullItem(dtype: DType) -> SafetensorsLayout.Item { .init(name: names.up, dtype: dtype, shape: shape) }
}
