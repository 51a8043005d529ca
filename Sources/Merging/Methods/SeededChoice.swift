import Tensors

/// Numbers between 0 and 1 that depend on a seed, a weight and an adapter's place, and on nothing else: SplitMix64 (Steele, Lea
/// and Flood, 2014).
struct SeededChoice {
  private var state: UInt64

  init(seed: UInt64, weight: String, member: Int) {
    state = seed &* 0x9E37_79B9_7F4A_7C15 ^ weight.stableHash &+ UInt64(member) &* 0xD1B5_4A32_D192_ED03
  }

  /// At least 0 and below 1.
  mutating func next() -> Double {
    state &+= 0x9E37_79B9_7F4A_7C15
    var bits = state
    bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
    bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
    return Double((bits ^ bits >> 31) >> 11) * 0x1p-53
  }
}
