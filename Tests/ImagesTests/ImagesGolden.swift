import FoundationEssentials
import Images
import TestSupport
import Testing

/// `Tests/Goldens/images/expected.json`; its `make.py` explains every field.
struct ImagesGolden: Decodable, Sendable {
  let pngs: [File]
  let floats: Floats
  let resized: Resized
  let comparisons: Comparisons
  let quoted: [Quoted]

  struct File: Decodable, Sendable, CustomTestStringConvertible {
    let file: String
    let width: Int
    let height: Int
    let rgb: Data
    let texts: [Text]

    var testDescription: String { file }
    var data: [UInt8] { get throws { try Array(Goldens.data("images/png/\(file)")) } }
  }
  struct Text: Decodable, Sendable {
    let keyword: String
    let text: String
  }
  struct Floats: Decodable, Sendable {
    let count: Int
    let numbers: Data
    let levels: Data
    let back: Data
  }
  struct Resized: Decodable, Sendable {
    let width: Int
    let height: Int
    let rgb: Data
    let results: [Result]

    struct Result: Decodable, Sendable {
      let width: Int
      let height: Int
      let rgb: Data
    }
  }
  struct Comparisons: Decodable, Sendable {
    let width: Int
    let height: Int
    let rgb: Data
    let cases: [Case]
    let smallest: Smallest

    struct Case: Decodable, Sendable, CustomTestStringConvertible {
      let name: String
      let rgb: Data
      let mse: Double
      let psnr: Double?
      let ssim: Double
      let greatest: Int
      let differing: Double

      var testDescription: String { name }
    }
    struct Smallest: Decodable, Sendable {
      let a: Data
      let b: Data
      let ssim: Double
    }
  }
  struct Quoted: Decodable, Sendable {
    let value: String
    let quoted: String
  }

  static let shared: ImagesGolden = {
    do { return try JSONDecoder().decode(ImagesGolden.self, from: Goldens.data("images/expected.json")) } catch {
      fatalError("Tests/Goldens/images/expected.json: \(error)")
    }
  }()
}

/// Little-endian numbers in single precision.
func floats(_ data: Data) -> [Float] {
  let bytes = Array(data)
  return stride(from: 0, to: bytes.count, by: 4).map { start in
    Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << (8 * UInt32($1)) })
  }
}

/// A picture of noise over a gradient: something of everything that filters and windows see.
func picture(width: Int, height: Int, seed: UInt64) -> RGBImage {
  var generator = SplitMix64(seed: seed)
  let bytes = (0..<3 * width * height).map { index in
    UInt8(truncatingIfNeeded: index / 3 % width + index / (3 * width) + generator.below(24))
  }
  return RGBImage(width: width, height: height, bytes: bytes)
}
