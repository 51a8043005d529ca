import CArithmetic

/// A weight that is stored times a rotation of its inputs (ConvRot), which decoding undoes.
///
/// The rotation is block diagonal: H₄ ⊗ … ⊗ H₄ ÷ √G over groups of G inputs. It is its own inverse. The order of its sums is
/// fixed in `lathe_rotate`; libraries that multiply matrices differ from it in the last bits.
public struct RotatedCodec: WeightCodec {
  private let stored: any WeightCodec
  private let group: Int

  /// - Parameter group: inputs that are rotated together.
  /// - Throws: `CodecError` for a group that is no power of four, or does not divide the inputs.
  public init(_ stored: any WeightCodec, group: Int) throws(CodecError) {
    guard group >= 4, group.nonzeroBitCount == 1, group.trailingZeroBitCount % 2 == 0, stored.columns % group == 0
    else {
      throw CodecError(
        "convrot_groupsize", expected: "a power of four that divides \(stored.columns)", found: "\(group)")
    }
    (self.stored, self.group) = (stored, group)
  }

  public var name: String { stored.name + " (ConvRot)" }
  public var bitsPerWeight: Double { stored.bitsPerWeight }
  public var rows: Int { stored.rows }
  public var columns: Int { stored.columns }
  public var grid: CodeGrid? { stored.grid.flatMap { $0.rotation == nil ? $0.rotated(by: group) : nil } }
  public func requireSteps() throws(CodecError) { try stored.requireSteps() }

  public func decode(rows: Range<Int>, into numbers: UnsafeMutableBufferPointer<Float>) {
    stored.decode(rows: rows, into: numbers)
    if let base = numbers.baseAddress { lathe_rotate(base, numbers.count, group) }
  }
}
