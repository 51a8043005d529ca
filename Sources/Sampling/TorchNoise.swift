import Platform

/// What `torch.randn` gives on an x86 processor with `torch.Generator().manual_seed(seed)`, bit for bit, in single
/// precision. This is the noise of diffusers on a processor and of ComfyUI.
public struct TorchNoise: NoiseSource, Sendable {
  private static let block = 16

  private var generator: MersenneTwister
  /// The second number of a pair that was drawn for a short call. It waits for the next short call, however many long
  /// ones come between.
  private var spare: Double?

  /// - Parameter seed: Only its low 32 bits count, as in torch.
  public init(seed: UInt64) { generator = MersenneTwister(seed: UInt32(truncatingIfNeeded: seed)) }

  /// From 16 numbers on they are drawn in blocks, as torch does: other numbers than one by one.
  public mutating func normals(count: Int) -> [Float] {
    precondition(count >= 0, "a count is not negative")
    guard count >= Self.block else { return (0..<count).map { _ in Float(scalar()) } }
    var values = (0..<count).map { _ in uniform() }
    for start in stride(from: 0, through: count - Self.block, by: Self.block) {
      Self.transform(&values, from: start)
    }
    if count % Self.block != 0 {
      // The last block is drawn anew and reaches back over part of the one before.
      let start = count - Self.block
      for index in start..<count { values[index] = uniform() }
      Self.transform(&values, from: start)
    }
    return values
  }

  /// In [0, 1), of 24 bits.
  private mutating func uniform() -> Float { Float(generator.next() & 0xff_ffff) * 0x1p-24 }

  /// In [0, 1), of 53 bits.
  private mutating func wideUniform() -> Double {
    let high = UInt64(generator.next())
    let low = UInt64(generator.next())
    return Double((high << 32 | low) & 0x1f_ffff_ffff_ffff) * 0x1p-53
  }

  /// One normal number (Box and Muller 1958) in double precision.
  private mutating func scalar() -> Double {
    if let value = spare {
      spare = nil
      return value
    }
    let angle = 2 * Double.pi * wideUniform()
    let radius = (-2 * log1p(-wideUniform())).squareRoot()
    spare = radius * sin(angle)
    return radius * cos(angle)
  }

  /// Makes 16 normal numbers of 16 uniform ones, in pairs of values 8 apart (Box and Muller 1958).
  private static func transform(_ values: inout [Float], from start: Int) {
    for index in start..<start + block / 2 {
      let radius = (-2 * SingleMath.logarithm(1 - values[index])).squareRoot()
      let (sine, cosine) = SingleMath.sineAndCosine(6.2831855 * values[index + block / 2])
      // Adding zero turns −0 into 0, as torch's adding of the mean does.
      values[index] = radius * cosine + 0
      values[index + block / 2] = radius * sine + 0
    }
  }
}
