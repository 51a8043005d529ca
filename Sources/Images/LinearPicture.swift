import Platform

/// How much light a picture in sRGB (IEC 61966-2-1) gives: red, green and blue as parts of full light, 0...1.
struct LinearPicture {
  let red: Plane<Float>
  let green: Plane<Float>
  let blue: Plane<Float>

  var width: Int { red.width }
  var height: Int { red.height }

  init(_ image: RGBImage) {
    let light = (0...255).map { level in
      let part = Double(level) / 255
      return Float(part <= 0.04045 ? part / 12.92 : pow((part + 0.055) / 1.055, 2.4))
    }
    red = Plane(image) { red, _, _ in light[Int(red)] }
    green = Plane(image) { _, green, _ in light[Int(green)] }
    blue = Plane(image) { _, _, blue in light[Int(blue)] }
  }

  private init(red: Plane<Float>, green: Plane<Float>, blue: Plane<Float>) {
    (self.red, self.green, self.blue) = (red, green, blue)
  }

  /// Half as wide and half as high: means of light, as the eye takes them.
  func halved() -> LinearPicture { LinearPicture(red: red.halved(), green: green.halved(), blue: blue.halved()) }

  /// One row in the colours of JPEG XL, brought to about 0...1: X (red against green), Y (lightness) and B - Y (blue against
  /// yellow), `width` numbers of each one after the other. They are differences and means of what the eye's three kinds of
  /// cones take in, under a cube root.
  func writeOpsinColors(row: Int, to target: UnsafeMutablePointer<Float>) {
    let bias: Float = 0.0037930732552754493
    let root = cbrt(bias)
    for column in 0..<width {
      let place = row * width + column
      let (red, green, blue) = (red.values[place], green.values[place], blue.values[place])
      let long = cbrt(0.3 * red + 0.622 * green + 0.078 * blue + bias) - root
      let middle = cbrt(0.23 * red + 0.692 * green + 0.078 * blue + bias) - root
      let short =
        cbrt(0.24342268924547819 * red + 0.20476744424496821 * green + 0.5518098665095537 * blue + bias) - root
      let lightness = (long + middle) / 2
      target[column] = (long - middle) / 2 * 14 + 0.42
      target[width + column] = lightness + 0.01
      target[2 * width + column] = short - lightness + 0.55
    }
  }
}
