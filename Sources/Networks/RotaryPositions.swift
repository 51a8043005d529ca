import Foundation
import Kernels

/// The angles by which tokens at integer places are turned.
enum RotaryPositions {
  /// Places on several axes, each of which has a share of a head's features: place · θ^(−2i/share).
  ///
  /// - Parameters:
  ///   - places: of each token, one number for each axis.
  ///   - shares: features of each axis, in order; even numbers.
  static func angles(_ places: [[Int]], shares: [Int], theta: Double) -> [Float] {
    let frequencies = shares.map { share in
      (0..<share / 2).map { pow(theta, -2 * Double($0) / Double(share)) }
    }
    // Rounded before their cosine is taken, as everybody does it.
    return places.flatMap { token in
      zip(token, frequencies).flatMap { place, own in own.map { Float(Double(place) * $0) } }
    }
  }

  /// Places in a row, with frequencies in single precision, as language models have them.
  static func angles(tokens: Int, width: Int, theta: Double) -> [Float] {
    let frequencies = (0..<width).map { Float(1 / pow(theta, Double($0) / Double(width))) }
    return (0..<tokens).flatMap { place in frequencies.map { Float(place) * $0 } }
  }
}
