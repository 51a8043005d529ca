import Platform

/// The noise that torch makes on an NVIDIA device, as far as images go: AUTOMATIC1111's random source "NV" and the default
/// of stable-diffusion.cpp.
///
/// Philox4x32-10 (Salmon and others, "Parallel random numbers: as easy as 1, 2, 3", 2011): the key is the seed, the
/// counter is the number of the call and of the element.
public struct PhiloxNoise: NoiseSource, Sendable {
  private let key: SIMD2<UInt32>
  private var call: UInt32 = 0

  /// All 64 bits of `seed` count.
  public init(seed: UInt64) {
    key = SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
  }

  /// Each call is a stream of its own: a number depends on the seed, the call and its place.
  public mutating func normals(count: Int) -> [Float] {
    precondition(count >= 0 && count <= Int(UInt32.max), "a count is not negative and has 32 bits")
    defer { call &+= 1 }
    return (0..<count).map { index in
      let words = Self.scrambled(SIMD4(call, 0, UInt32(index), 0), key: key)
      // The constants are single, everything else is double: Box and Muller 1958, with the sine alone.
      let unit: Float = 2.3283064e-10
      let turn = Float(2.3283064e-10 * 6.2831855)
      let u = Double(words[0]) * Double(unit) + Double(unit / 2)
      let angle = Double(words[1]) * Double(turn) + Double(turn / 2)
      return Float((-2 * log(u)).squareRoot() * sin(angle))
    }
  }

  /// Ten rounds.
  static func scrambled(_ counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var words = counter
    var key = key
    for round in 0..<10 {
      if round > 0 { key &+= SIMD2(0x9e37_79b9, 0xbb67_ae85) }
      let first = words[0].multipliedFullWidth(by: 0xd251_1f53)
      let second = words[2].multipliedFullWidth(by: 0xcd9e_8d57)
      words = SIMD4(second.high ^ words[1] ^ key[0], second.low, first.high ^ words[3] ^ key[1], first.low)
    }
    return words
  }
}
