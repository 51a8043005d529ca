/// Elementary functions in single precision with the very roundings of torch's vectorized kernels: Cephes' polynomials
/// (Moshier 1989), their products and sums fused where the compiler of torch fuses them. The C library's functions have
/// other bits in about one value of seven.
enum SingleMath {
  /// ln x for normal 0 < x ≤ 1.
  static func logarithm(_ value: Float) -> Float {
    let bits = value.bitPattern
    var exponent = Float(Int(bits >> 23) - 126)
    // In [0.5, 1).
    let mantissa = Float(bitPattern: bits & 0x7f_ffff | 0x3f00_0000)
    var x = mantissa - 1
    if mantissa < 0.707106781186547524 {
      exponent -= 1
      x += mantissa
    }
    let square = x * x
    var y: Float = 7.0376836292e-2
    y = multiplied(y, x, plus: -1.1514610310e-1)
    y = multiplied(y, x, plus: 1.1676998740e-1)
    y = multiplied(y, x, plus: -1.2420140846e-1)
    y = multiplied(y, x, plus: 1.4249322787e-1)
    y = multiplied(y, x, plus: -1.6668057665e-1)
    y = multiplied(y, x, plus: 2.0000714765e-1)
    y = multiplied(y, x, plus: -2.4999993993e-1)
    y = multiplied(y, x, plus: 3.3333331174e-1)
    y = multiplied(y * x, square, plus: exponent * -2.12194440e-4)
    return multiplied(exponent, 0.693359375, plus: x + (y - square * 0.5))
  }

  /// sin x and cos x for 0 ≤ x < 8192.
  static func sineAndCosine(_ angle: Float) -> (sine: Float, cosine: Float) {
    // The octant, rounded up to an even one, is taken off in three parts of π/4.
    let octant = (Int32(angle * 1.27323954473516) + 1) & ~1
    let turns = Float(octant)
    var x = multiplied(turns, -0.78515625, plus: angle)
    x = multiplied(turns, -2.4187564849853515625e-4, plus: x)
    x = multiplied(turns, -3.77489497744594108e-8, plus: x)
    let square = x * x
    var even: Float = 2.443315711809948e-5
    even = multiplied(even, square, plus: -1.388731625493765e-3)
    even = multiplied(even, square, plus: 4.166664568298827e-2)
    even = multiplied(even * square, square, plus: -(square * 0.5)) + 1
    var odd: Float = -1.9515295891e-4
    odd = multiplied(odd, square, plus: 8.3321608736e-3)
    odd = multiplied(odd, square, plus: -1.6666654611e-1)
    odd = multiplied(odd * square, x, plus: x)
    let isSwapped = octant & 2 != 0
    let sine = isSwapped ? even : odd
    let cosine = isSwapped ? odd : even
    return (octant & 4 != 0 ? -sine : sine, (octant - 2) & 4 == 0 ? -cosine : cosine)
  }

  /// a·b + c with one rounding.
  @inline(__always)
  private static func multiplied(_ a: Float, _ b: Float, plus c: Float) -> Float { c.addingProduct(a, b) }
}
