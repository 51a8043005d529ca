// swift-tools-version: 6.1
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
]

/// One room of the house: a library target with its product, so that other packages can import it alone.
struct Room {
  let name: String
  var dependencies: [Target.Dependency] = []
  var resources: [Resource] = []
  /// Files beside its sources that are none of them.
  var exclude: [String] = []
  /// What its tests need beside its own dependencies.
  var testDependencies: [Target.Dependency] = []
}

let rooms: [Room] = [
  // Ground floor
  Room(name: "Tensors", dependencies: ["CArithmetic"]),
  Room(name: "Files", dependencies: ["Tensors", "CFiles", "CXxHash", "COpenSSL"]),
  Room(name: "JSON", dependencies: ["Files"]),
  Room(name: "LinearAlgebra", dependencies: ["Tensors", "CArithmetic", "COpenBLAS"]),
  // Hall
  Room(name: "Safetensors", dependencies: ["Tensors", "Files", "JSON"]),
  Room(name: "TorchPickles", dependencies: ["Tensors", "Files", "CZip"]),
  Room(name: "Codecs", dependencies: ["Tensors", "CArithmetic"], testDependencies: ["Files", "Safetensors", "GGUF", "Checkpoints"]),
  Room(name: "GGUF", dependencies: ["Tensors", "Files", "Codecs"]),
  Room(
    name: "Models", dependencies: ["Tensors"], resources: [.embedInCode("Families"), .embedInCode("Names")],
    exclude: ["README.md"]),
  Room(
    name: "Checkpoints",
    dependencies: ["Tensors", "Models", "Files", "JSON", "Codecs", "Safetensors", "TorchPickles", "GGUF"]),
  Room(name: "Images", dependencies: ["Tensors", "JSON", "CPNG"]),
  // Workshop
  Room(
    name: "Adapters",
    dependencies: [
      "Tensors", "LinearAlgebra", "Files", "JSON", "Safetensors", "TorchPickles", "GGUF", "Models", "Checkpoints",
    ]),
  Room(name: "Spectra", dependencies: ["Tensors", "LinearAlgebra", "Models", "Adapters"]),
  Room(name: "Loaders", dependencies: ["Tensors", "Models", "Adapters"]),
  Room(
    name: "Factoring",
    dependencies: [
      "Tensors", "LinearAlgebra", "Files", "JSON", "Safetensors", "Models", "Adapters", "Spectra",
    ]),
  Room(
    name: "Recipes",
    dependencies: ["Tensors", "Files", "Adapters", "Factoring", .product(name: "Yams", package: "Yams")]),
  Room(
    name: "Merging",
    dependencies: [
      "Tensors", "LinearAlgebra", "Files", "JSON", "Models", "Checkpoints", "Adapters", "Spectra", "Factoring",
      "Recipes",
    ], testDependencies: ["Safetensors", "Converting"]),
  Room(
    name: "Extracting",
    dependencies: [
      "Tensors", "LinearAlgebra", "Files", "JSON", "Safetensors", "Models", "Checkpoints", "Adapters", "Spectra",
      "Factoring",
    ]),
  Room(
    name: "Converting",
    dependencies: [
      "Tensors", "LinearAlgebra", "Files", "JSON", "Safetensors", "Models", "Adapters", "Spectra", "Factoring",
    ], testDependencies: ["Checkpoints", "Loaders", "Metadata"]),
  Room(name: "Metadata", dependencies: ["Tensors", "Files", "JSON", "Safetensors", "Factoring"]),
  Room(
    name: "Baking",
    dependencies: [
      "Tensors", "LinearAlgebra", "Files", "JSON", "Safetensors", "GGUF", "Codecs", "Models", "Checkpoints", "Adapters",
      "Spectra", "Factoring", "Recipes", "CZstd",
    ], testDependencies: ["Merging"]),
  // Workshop, the engine's wing: no word of adapters in it
  Room(name: "Prompts", dependencies: ["JSON"]),
  Room(name: "Sampling", dependencies: ["JSON"]),
  Room(name: "Kernels", dependencies: ["Tensors", "CKernels", "COneDNN"]),
  Room(name: "Networks", dependencies: ["Tensors", "JSON", "Models", "Checkpoints", "Prompts", "Kernels"]),
  Room(
    name: "Rendering",
    dependencies: [
      "Tensors", "Files", "JSON", "Models", "Checkpoints", "Images", "Prompts", "Sampling", "Kernels", "Networks",
    ]),
  // Workshop, where the wings meet
  Room(
    name: "Calibrating",
    dependencies: [
      "Tensors", "LinearAlgebra", "Files", "JSON", "Models", "Checkpoints", "Adapters", "Spectra", "Factoring",
      "Baking", "Rendering",
    ]),
  Room(
    name: "Sheets",
    dependencies: [
      "Files", "Models", "Checkpoints", "Adapters", "Factoring", "Baking", "Images", "Prompts", "Sampling", "Kernels",
      "Rendering",
    ]),
  Room(
    name: "Audit",
    dependencies: [
      "Tensors", "LinearAlgebra", "Files", "JSON", "Models", "Checkpoints", "Adapters", "Spectra", "Factoring",
      "Merging", "Baking", "Images", "Kernels", "Rendering", .product(name: "SwiftCSV", package: "SwiftCSV"),
    ]),
  // Study
  Room(
    name: "Reports",
    dependencies: [
      "Tensors", "Files", "JSON", "Safetensors", "Models", "Checkpoints", "Adapters", "Spectra", "Loaders", "Factoring",
      "Extracting", "Converting", "Metadata", "Baking", "Rendering", "Calibrating", "Audit",
      .product(name: "Mustache", package: "swift-mustache"),
    ], resources: [.embedInCode("Templates")], testDependencies: ["Images", "Kernels"]),
  // Desk
  Room(
    name: "Commands",
    dependencies: [
      "Tensors", "LinearAlgebra", "Files", "JSON", "Safetensors", "Codecs", "Models", "Checkpoints", "Adapters",
      "Spectra", "Loaders", "Factoring", "Recipes", "Merging", "Extracting", "Converting", "Metadata", "Baking", "Images",
      "Prompts", "Sampling", "Kernels", "Rendering", "Calibrating", "Sheets", "Audit", "Reports",
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
    ]),
]

let package = Package(
  name: "Lathe",
  platforms: [.macOS(.v15)],
  products: rooms.map { .library(name: $0.name, targets: [$0.name]) }
    + [.executable(name: "lathe", targets: ["lathe"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
    .package(url: "https://github.com/swiftcsv/SwiftCSV", from: "0.10.0"),
  ],
  targets: [
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev", "liblapacke-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CZip", pkgConfig: "libzip", providers: [.apt(["libzip-dev"])]),
    .systemLibrary(name: "CXxHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "COneDNN", providers: [.apt(["libdnnl-dev"])]),
    .target(name: "CFiles"),
    .target(name: "Platform", swiftSettings: settings),
    .target(name: "CArithmetic", cSettings: [.define("NDEBUG")]),
    .target(
      name: "CKernels", dependencies: ["CArithmetic"], cSettings: [.define("NDEBUG")],
      linkerSettings: [.linkedLibrary("gomp")]),
    .executableTarget(name: "lathe", dependencies: ["Commands"], swiftSettings: settings),
  ]
    + rooms.map {
      .target(
        name: $0.name, dependencies: $0.dependencies + ["Platform"], exclude: $0.exclude, resources: $0.resources,
        swiftSettings: settings)
    }
    + rooms.map {
      .testTarget(
        name: "\($0.name)Tests",
        dependencies: [.target(name: $0.name)] + $0.dependencies + $0.testDependencies + ["Platform", "TestSupport"],
        exclude: $0.name == "Commands" ? ["Snapshots"] : [],
        swiftSettings: settings)
    }
    + [
      .testTarget(
        name: "ReadmeTests",
        dependencies: [
          "Tensors", "Kernels", "Checkpoints", "Images", "Adapters", "Spectra", "Factoring", "Merging", "Baking",
          "Rendering", "Platform", "TestSupport",
        ], swiftSettings: settings),
      .target(
        name: "TestSupport", dependencies: ["Tensors", "Safetensors", "Models", "Adapters", "Platform"],
        path: "Tests/TestSupport",
        swiftSettings: settings),
    ]
)
