public import Adapters
import Factoring
public import Models
import Safetensors
import Tensors

/// One target of a converted adapter: rows of one or more source targets, and how they are spelled.
public struct ConvertTarget: Sendable {
  /// Some rows of a source's delta, and where the output has them.
  struct Part: Sendable {
    let source: Target
    let sourceRows: Range<Int>
    let rows: Range<Int>
    /// Whether the two halves of the rows change places.
    let swapsHalves: Bool
    /// The source's components that these rows use.
    let components: [Int]
  }

  /// How the output says what the product of the factors is multiplied by.
  enum Scaling: Sendable {
    /// It cannot: the factors are the delta.
    case none
    /// In a tensor of its own.
    case tensor
    /// In the configuration beside the tensors.
    case configuration
  }

  /// The target under any dialect.
  public let key: TargetKey
  /// As the output spells it.
  public let name: String
  /// The module's name in the base, where the output's names have dots.
  let dottedPath: String?
  let names: Target.TensorNames
  let parts: [Part]
  /// Rows of the delta; those that no part has are zero.
  let rows: Int
  let inputs: Int
  let kernel: [Int]
  /// Whether all parts have one down factor, so that the components are common.
  let sharesDown: Bool
  /// Whether the core of a Tucker target stays a tensor of its own.
  let keepsMid: Bool
  let upDType: DType
  let downDType: DType
  /// Of the core, where it stays.
  let midDType: DType?
  let scaling: Scaling
  /// What the output says of this target's strength, where it can: the scale is alpha ÷ `alphaRank`.
  var alpha: Double

  /// What the product of the output's factors is multiplied by, as a reader computes it.
  var scale: Double { if case .none = scaling { 1 } else { alpha / Double(alphaRank) } }

  /// The alpha by which metadata tells the scale.
  var toldAlpha: Double { if case .none = scaling { Double(alphaRank) } else { alpha } }

  /// The rank that alpha is divided by: rows of the down factor.
  var alphaRank: Int { mid?.shape[1] ?? rank }

  /// The number of components.
  public var rank: Int {
    sharesDown ? parts[0].components.count : parts.reduce(0) { $0 + $1.components.count }
  }

  var columns: Int { inputs * (keepsMid ? 1 : kernel.reduce(1, *)) }

  /// Each of the sources once.
  public var sources: [Target] { parts.map(\.source) }

  /// Whether the output has every row of one source, as it is.
  var isWhole: Bool {
    parts.count == 1 && parts[0].sourceRows.count == rows && parts[0].source.rows == rows && !parts[0].swapsHalves
  }

  var mid: Tensor? { keepsMid ? parts[0].source.mid : nil }

  var upShape: Shape { keepsMid ? parts[0].source.up.shape : Shape([rows, rank] + kernel.map { _ in 1 }) }
  var downShape: Shape { keepsMid ? parts[0].source.down.shape : Shape([rank, inputs] + kernel) }
}

extension ConvertTarget {
  /// What a reader must find; its scale is compared with its delta.
  var expectation: AdapterWriter.Expectation {
    .init(name: name, tensor: names.up, upShape: upShape, downShape: downShape, scale: nil)
  }

  /// The tensors as the layout wants them.
  var items: [SafetensorsLayout.Item] {
    var items = [
      SafetensorsLayout.Item(name: names.up, dtype: upDType, shape: upShape),
      SafetensorsLayout.Item(name: names.down, dtype: downDType, shape: downShape),
    ]
    if let name = names.mid, let mid, let midDType {
      items.append(.init(name: name, dtype: midDType, shape: mid.shape))
    }
    // Alphas are always single precision: half precision could not hold scale · rank exactly.
    if let alpha = names.alpha { items.append(SafetensorsLayout.Item(name: alpha, dtype: .f32, shape: [])) }
    return items
  }
}
