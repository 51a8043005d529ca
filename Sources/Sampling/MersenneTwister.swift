/// MT19937 (Matsumoto and Nishimura 1998), seeded with 32 bits.
struct MersenneTwister: Sendable {
  private static let length = 624
  private static let shift = 397

  private var state: [UInt32]
  private var position = length

  init(seed: UInt32) {
    state = [seed]
    state.reserveCapacity(Self.length)
    for index in 1..<Self.length {
      let previous = state[index - 1]
      state.append(1_812_433_253 &* (previous ^ (previous >> 30)) &+ UInt32(index))
    }
  }

  mutating func next() -> UInt32 {
    if position == Self.length { twist() }
    var y = state[position]
    position += 1
    y ^= y >> 11
    y ^= (y << 7) & 0x9d2c_5680
    y ^= (y << 15) & 0xefc6_0000
    return y ^ (y >> 18)
  }

  private mutating func twist() {
    for index in 0..<Self.length {
      let y = (state[index] & 0x8000_0000) | (state[(index + 1) % Self.length] & 0x7fff_ffff)
      state[index] = state[(index + Self.shift) % Self.length] ^ (y >> 1) ^ (y & 1 == 0 ? 0 : 0x9908_b0df)
    }
    position = 0
  }
}
