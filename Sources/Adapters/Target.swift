import LinearAlgebra
public import Models
public import Tensors

/// One base weight that an adapter changes, with the factors of the change.
///
/// The delta is `scale · up · down` in the base weight's shape (for Tucker factors `scale · up · mid · down`).
public struct Target: Sendable {
  /// How the delta is put together from the factors.
  public enum Kind: String, Sendable {
    /// down (r, in) and up (out, r).
    case linear
    /// down (r, in, k…) and up (out, r, 1…).
    case conv
    /// down (r, in), mid (r, r, k…) and up (out, r): a convolution in Tucker form.
    case tucker
    /// The delta of a bias or of a norm's weight, as `up` (n, 1) beside a `down` that is 1.
    case vector
  }

  /// The tensors' names in the file.
  public struct TensorNames: Hashable, Sendable {
    /// Of the factor with the outputs.
    public var up: String
    /// Of the factor with the inputs.
    public var down: String
    /// Of the core of a Tucker form; `nil` for others.
    public var mid: String?
    /// Of the tensor with alpha; `nil` where a configuration has it, or nothing does.
    public var alpha: String?

    /// Full names as the file spells them, with their endings.
    public init(up: String, down: String, mid: String? = nil, alpha: String? = nil) {
      (self.up, self.down, self.mid, self.alpha) = (up, down, mid, alpha)
    }
  }

  /// The target as the file spells it: tensor names less their suffixes.
  public let name: String
  /// How the file stores the change. Of all but LoRA `up` and `down` are put together from what is stored, whenever they are
  /// asked for (`ComposedFactors`); their product is the same delta.
  public let algorithm: Algorithm
  /// The tensors of the file that the delta is made of, with what they are called in messages.
  public let stored: [(label: String, tensor: Tensor)]
  /// The same target under any dialect.
  public let key: TargetKey
  /// How `up`, `mid` and `down` are put together; decides their shapes.
  public let kind: Kind
  /// The factor with the outputs, rows × r in front of extents of 1; computed for algorithms that store none.
  public let up: Tensor
  /// The factor with the inputs, r × inputs in front of the kernel's extents (without them in a Tucker form).
  public let down: Tensor
  /// The core of a Tucker form, r × r × kernel; `nil` for others.
  public let mid: Tensor?
  /// The product of the factors, where one of them is the identity: a delta of which no factors are known.
  public let whole: Tensor?
  /// Two matrices whose Kronecker product the whole delta is: its singular values are the products of theirs.
  package let kronecker: (first: Tensor, second: Tensor)?
  /// In the file; of other algorithms than LoRA what a LoRA would be called.
  public let names: TensorNames
  /// The alpha that scales this target, from a tensor or a configuration; `nil` when there is none.
  public let alpha: Double?
  /// What the product of the factors is multiplied by: usually α/r.
  public let scale: Double
  /// Whether the base weight is stored (in, out), so that the delta is the transposed product (`fan_in_fan_out`).
  public let isTransposed: Bool

  package init(
    name: String, key: TargetKey, kind: Kind, up: Tensor, down: Tensor, mid: Tensor?, whole: Tensor? = nil,
    names: TensorNames, alpha: Double?, scale: Double, isTransposed: Bool, algorithm: Algorithm = .lora,
    storedRank: Int? = nil, stored: [(label: String, tensor: Tensor)]? = nil,
    kronecker: (first: Tensor, second: Tensor)? = nil
  ) {
    self.kronecker = kronecker
    (self.name, self.key, self.kind) = (name, key, kind)
    (self.up, self.down, self.mid, self.whole) = (up, down, mid, whole)
    (self.names, self.alpha, self.scale, self.isTransposed) = (names, alpha, scale, isTransposed)
    self.algorithm = algorithm
    self.storedRank = storedRank ?? up.shape[1]
    self.stored = stored ?? [("up", up), ("down", down)] + (mid.map { [("mid", $0)] } ?? [])
  }

  /// The rank as the file's own algorithm counts it: alpha belongs to it. For full differences the smaller side.
  public let storedRank: Int

  /// The number of components: rows of `up` seen as matrix columns.
  public var rank: Int { up.shape[1] }

  /// Rows of the delta seen as a matrix: output channels.
  public var rows: Int { up.shape[0] }

  /// Columns of the delta seen as a matrix: input channels times kernel size.
  public var columns: Int { inputs * kernel.reduce(1, *) }

  /// Input channels of the base weight, without the kernel.
  public var inputs: Int { down.shape[1] }

  /// Kernel extents; empty for a linear target that is stored as a matrix.
  public var kernel: [Int] { Array((mid ?? down).shape.extents.dropFirst(2)) }

  /// The shape of the delta, as the base weight has it.
  public var shape: Shape {
    if kind == .vector { return [rows] }
    return isTransposed ? Shape([inputs, rows]) : Shape([rows, inputs] + kernel)
  }

  /// The widest number format among the stored tensors.
  public var dtype: DType { stored.map(\.tensor.dtype).max { $0.canonicalRank < $1.canonicalRank }! }

  /// The module's name in the base with dots, where the file's spelling still has them.
  public var dottedPath: String? {
    // Vectors have their tensor's name.
    let module = kind == .vector ? String(name[..<(name.lastIndex(of: ".") ?? name.endIndex)]) : name
    let path = module.hasSuffix(".lora_B") ? module.dropping(suffix: ".lora_B") : module
    return path.contains(".") ? DottedNames.path(of: path).path : nil
  }

  /// The delta with its scale: rows × columns.
  package func product() -> [Double] {
    let unscaled =
      whole?.doubles()
      ?? reproducibleProduct(up.doubles(), plainDown(), rows: rows, rank: rank, columns: columns)
    return unscaled.map { $0 * scale }
  }

  /// The down factor with a Tucker core multiplied in: rank × columns.
  private func plainDown() -> [Double] {
    var values = [Double](repeating: 0, count: rank * columns)
    values.withUnsafeMutableBufferPointer { copyDown(to: $0) }
    return values
  }

  /// Writes the down factor, with a Tucker core multiplied in, to `place`: rank × columns.
  ///
  /// Of a core it is down'[p, i, k] = Σ_q mid[p, q, k] · down[q, i]: the plain convolution with the same delta, exactly.
  package func copyDown(to place: UnsafeMutableBufferPointer<Double>) {
    guard let mid else {
      down.copyDoubles(to: place)
      return
    }
    TuckerCore(mid).multiply(down.doubles(), inputs: inputs, into: place)
  }

  /// Whether the delta comes of a whole weight in the base's place.
  package var isReplacement: Bool {
    let labels =
      ["parameter", "set_weight", "weight", "bias"]
      + ["base_layer", "modules_to_save"].flatMap { ["\($0).weight", "\($0).bias"] }
    return algorithm == .full && labels.contains(stored[0].label)
  }

  /// Why the delta could not be computed, where its factors are finite and it is not.
  package var missingDelta: AdapterProblem? {
    guard algorithm == .tlora, let whole, whole.doubles().contains(where: { !$0.isFinite }),
      stored.allSatisfy({ $0.tensor.doubles().allSatisfy(\.isFinite) })
    else { return nil }
    return AdapterProblem(.noSingularValues, target: name)
  }

  /// Bytes of the factors.
  public var byteCount: Int { stored.reduce(0) { $0 + $1.tensor.bytes.count } }

  /// Parameters of the factors.
  public var parameterCount: Int { stored.reduce(0) { $0 + $1.tensor.elementCount } }
}

/// A target whose algorithm Lathe knows by name but cannot work on.
public struct UnsupportedTarget: Sendable {
  /// As the file spells it.
  public let name: String
  /// The target under any dialect.
  public let key: TargetKey
  /// What is stored instead of factors; messages name it.
  public let algorithm: Algorithm
  /// Full names of its tensors in the file.
  public let tensors: [String]
  /// The number format of its largest tensor.
  public let dtype: DType
  /// Numbers in its tensors, all together; alphas and scales do not count.
  public let parameterCount: Int
  /// Columns of the delta seen as a matrix, where the shapes tell; for recognising the family.
  let inputs: Int
}
