import COneDNN

/// oneDNN's engine and stream: the door to that library.
enum OneDNN {
  // The library's engine and stream may be used from any thread, and `KernelThread` is the only one.
  nonisolated(unsafe) static let engine: dnnl_engine_t = {
    var engine: dnnl_engine_t?
    check(dnnl_engine_create(&engine, dnnl_cpu, 0))
    return engine!
  }()

  nonisolated(unsafe) static let stream: dnnl_stream_t = {
    var stream: dnnl_stream_t?
    check(dnnl_stream_create(&stream, engine, UInt32(dnnl_stream_default_flags.rawValue)))
    return stream!
  }()

  /// Whether the processor has instructions that this library needs for more than its plainest loops.
  static var isUseful: Bool { dnnl_get_effective_cpu_isa().rawValue >= dnnl_cpu_isa_sse41.rawValue }

  /// Whether products of 16-bit operands have instructions of their own.
  static var hasBFloat16: Bool { has(dnnl_cpu_isa_avx512_core_bf16) }

  /// Whether sums of so many products have the same bits with any number of threads.
  ///
  /// Without AVX-512 the library cuts sums by that number. With AMX, which multiplies 16-bit operands in tiles, it cuts sums of
  /// more than 1,024 terms by blocks whose size depends on it, and from sixteen threads on by that number too.
  static func keepsBits(of operand: NumberFormat, terms: Int) -> Bool {
    has(dnnl_cpu_isa_avx512_core) && !(operand == .bf16 && terms > 1024 && has(dnnl_cpu_isa_avx512_core_amx))
  }

  private static func has(_ instructions: dnnl_cpu_isa_t) -> Bool {
    dnnl_get_effective_cpu_isa().rawValue & instructions.rawValue == instructions.rawValue
  }

  /// The library's version, and the instructions that it uses.
  static var description: String {
    let version = dnnl_version().pointee
    return "oneDNN \(version.major).\(version.minor).\(version.patch) \(dnnl_get_effective_cpu_isa().rawValue)"
  }

  /// What the library refuses is a fault of the caller here, or a lack of memory.
  static func check(_ status: dnnl_status_t, _ what: StaticString = "a kernel") {
    precondition(status == dnnl_success, "oneDNN refused \(what): status \(status.rawValue)")
  }

  static func descriptor(_ extents: [Int], _ format: NumberFormat, _ tag: dnnl_format_tag_t) -> dnnl_memory_desc_t {
    var descriptor = dnnl_memory_desc_t()
    check(
      extents.map { dnnl_dim_t($0) }.withUnsafeBufferPointer {
        dnnl_memory_desc_init_by_tag(&descriptor, Int32(extents.count), $0.baseAddress, format.oneDNN, tag)
      }, "a layout")
    return descriptor
  }
}

extension NumberFormat {
  var oneDNN: dnnl_data_type_t { self == .f32 ? dnnl_f32 : dnnl_bf16 }
}

/// An argument of a primitive, by the library's number for it.
enum OneDNNArgument: Int32 {
  case source = 1
  case target = 17
  case weights = 33
  case bias = 41
  case scratchpad = 80
}

/// A compiled kernel of oneDNN. Several threads may run it at the same time.
final class OneDNNPrimitive {
  private let primitive: dnnl_primitive_t
  private var arguments: [(argument: OneDNNArgument, layout: dnnl_memory_desc_t)] = []
  /// The layout in which the weights are wanted.
  let weights: dnnl_memory_desc_t
  let scratchBytes: Int

  /// - Parameter create: makes the primitive's description with the given attributes.
  init(sums: Bool = false, create: (dnnl_primitive_attr_t) -> dnnl_primitive_desc_t) {
    var attributes: dnnl_primitive_attr_t?, operations: dnnl_post_ops_t?
    OneDNN.check(dnnl_primitive_attr_create(&attributes))
    OneDNN.check(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user))
    if sums {
      OneDNN.check(dnnl_post_ops_create(&operations))
      OneDNN.check(dnnl_post_ops_append_sum(operations, 1))
      OneDNN.check(dnnl_primitive_attr_set_post_ops(attributes, operations))
      dnnl_post_ops_destroy(operations)
    }
    let description = create(attributes!)
    dnnl_primitive_attr_destroy(attributes)
    defer { dnnl_primitive_desc_destroy(description) }
    var primitive: dnnl_primitive_t?
    OneDNN.check(dnnl_primitive_create(&primitive, description))
    self.primitive = primitive!
    func layout(_ query: dnnl_query_t) -> dnnl_memory_desc_t? {
      dnnl_primitive_desc_query_md(description, query, 0)?.pointee
    }
    weights = layout(dnnl_query_weights_md)!
    let scratch = layout(dnnl_query_scratchpad_md)!
    scratchBytes = withUnsafePointer(to: scratch) { dnnl_memory_desc_get_size($0) }
    arguments = [
      (.source, layout(dnnl_query_src_md)!), (.target, layout(dnnl_query_dst_md)!), (.weights, weights),
      (.scratchpad, scratch),
    ]
    if let bias = dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 1)?.pointee, bias.ndims > 0 {
      arguments.append((.bias, bias))
    }
  }

  deinit { dnnl_primitive_destroy(primitive) }

  func run(
    source: UnsafeRawPointer, weights: UnsafeRawPointer, bias: UnsafeRawPointer?, target: UnsafeMutableRawPointer,
    scratch: UnsafeMutableRawPointer
  ) {
    let given = arguments.map { argument, layout in
      let address: UnsafeRawPointer? =
        switch argument {
        case .source: source
        case .target: UnsafeRawPointer(target)
        case .weights: weights
        case .bias: bias
        case .scratchpad: UnsafeRawPointer(scratch)
        }
      return OneDNN.argument(argument, layout, address)
    }
    defer { for argument in given { dnnl_memory_destroy(argument.memory) } }
    OneDNN.check(dnnl_primitive_execute(primitive, OneDNN.stream, Int32(given.count), given), "to run")
    OneDNN.check(dnnl_stream_wait(OneDNN.stream), "to finish")
  }
}

extension OneDNN {
  /// Memory for an argument, which the caller destroys.
  fileprivate static func argument(
    _ argument: OneDNNArgument, _ layout: dnnl_memory_desc_t, _ address: UnsafeRawPointer?
  ) -> dnnl_exec_arg_t {
    var memory: dnnl_memory_t?
    // The library takes all memory as writable, and writes only into the target and the scratchpad.
    check(
      withUnsafePointer(to: layout) {
        dnnl_memory_create(&memory, $0, engine, UnsafeMutableRawPointer(mutating: address))
      })
    return dnnl_exec_arg_t(arg: argument.rawValue, memory: memory)
  }
}

/// Weights in the layout that a primitive wants.
struct PackedWeights {
  private(set) var layout: dnnl_memory_desc_t
  private(set) var memory: HostMemory

  /// - Parameters:
  ///   - values: f32 in the layout `plain`.
  init(_ values: UnsafeRawPointer, in plain: dnnl_memory_desc_t, as layout: dnnl_memory_desc_t, pool: HostPool) {
    self.layout = layout
    memory = Self.reordered(values, from: plain, to: layout, pool: pool)
  }

  /// Changes the layout if `wanted` is another one.
  ///
  /// - Returns: whether it was.
  mutating func arrange(as wanted: dnnl_memory_desc_t, pool: HostPool) -> Bool {
    let isSame = withUnsafePointer(to: layout) { own in
      withUnsafePointer(to: wanted) { dnnl_memory_desc_equal(own, $0) != 0 }
    }
    guard !isSame else { return false }
    memory = Self.reordered(memory.base, from: layout, to: wanted, pool: pool)
    layout = wanted
    return true
  }

  private static func reordered(
    _ values: UnsafeRawPointer, from plain: dnnl_memory_desc_t, to layout: dnnl_memory_desc_t, pool: HostPool
  ) -> HostMemory {
    let packed = withUnsafePointer(to: layout) { pool.hostMemory(of: dnnl_memory_desc_get_size($0)) }
    var description: dnnl_primitive_desc_t?, reorder: dnnl_primitive_t?
    withUnsafePointer(to: plain) { plain in
      withUnsafePointer(to: layout) { layout in
        OneDNN.check(
          dnnl_reorder_primitive_desc_create(&description, plain, OneDNN.engine, layout, OneDNN.engine, nil),
          "a change of layout")
      }
    }
    OneDNN.check(dnnl_primitive_create(&reorder, description))
    let arguments = [
      OneDNN.argument(.source, plain, values), OneDNN.argument(.target, layout, packed.base),
    ]
    OneDNN.check(dnnl_primitive_execute(reorder, OneDNN.stream, 2, arguments), "a change of layout")
    OneDNN.check(dnnl_stream_wait(OneDNN.stream))
    for argument in arguments { dnnl_memory_destroy(argument.memory) }
    dnnl_primitive_destroy(reorder)
    dnnl_primitive_desc_destroy(description)
    return packed
  }
}
