#pragma once
#include <png.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// libpng leaves a call that failed by longjmp. A jump over Swift frames is undefined: nothing in them would be released.
// So every call that can fail stands in a function of this file, which sets the target of the jump itself and returns
// whether it got to its end. What has to outlive a jump lies in the caller's struct, since local variables may not. The
// functions are never inlined: a frame that calls setjmp must not become part of a Swift frame.
#define LATHE_PNG_CALL static inline __attribute__((noinline, unused))

enum { LATHE_PNG_MESSAGE_SIZE = 240 };

/// A warning is no reason to stop, but libpng often says in it what is wrong before it fails with a general sentence.
static inline void lathe_png_warn(png_structp png, png_const_charp text) {
  snprintf((char *)png_get_error_ptr(png), LATHE_PNG_MESSAGE_SIZE, "%s; ", text);
}

static inline void lathe_png_fail(png_structp png, png_const_charp text) {
  char *message = (char *)png_get_error_ptr(png);
  size_t length = strlen(message);
  snprintf(message + length, LATHE_PNG_MESSAGE_SIZE - length, "%s", text);
  png_longjmp(png, 1);
}

// Reading

/// A PNG in memory that is being read. Zero but for `bytes` and `length` before `lathe_png_open`.
typedef struct {
  const uint8_t *bytes;
  size_t length, position;
  /// 1 after an attempt to read past the end.
  int is_cut_off;
  uint32_t width, height;
  /// Bytes of a pixel as `lathe_png_read` writes it: 3, or 4 where the picture has an alpha channel.
  int channels;
  png_structp png;
  png_infop info;
  char *message;
} lathe_png_source;

static inline void lathe_png_take(png_structp png, png_bytep target, size_t count) {
  lathe_png_source *source = (lathe_png_source *)png_get_io_ptr(png);
  if (count > source->length - source->position) {
    source->is_cut_off = 1;
    png_error(png, "the data ends too early");
  }
  memcpy(target, source->bytes + source->position, count);
  source->position += count;
}

static inline void lathe_png_close(lathe_png_source *source) {
  if (source->png) png_destroy_read_struct(&source->png, &source->info, NULL);
  free(source->message);
}

/// Reads what stands before the pixels. Returns 0 and leaves a message on failure. Close it in either case.
LATHE_PNG_CALL int lathe_png_open(lathe_png_source *source) {
  source->message = (char *)calloc(1, LATHE_PNG_MESSAGE_SIZE);
  if (!source->message) return 0;
  source->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, source->message, lathe_png_fail, lathe_png_warn);
  if (!source->png) return 0;
  source->info = png_create_info_struct(source->png);
  if (!source->info || setjmp(png_jmpbuf(source->png))) return 0;
  png_structp png = source->png;
  png_set_read_fn(png, source, lathe_png_take);
  // The caller judges the size before memory is taken for it, with a better message.
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  // What a small file can unpack to as text: 64 texts of 8 MB.
  png_set_chunk_malloc_max(png, 8 << 20);
  png_set_chunk_cache_max(png, 64);
  png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  png_set_benign_errors(png, 0);
  // Only size, palette, transparency, pixels and texts count; a faulty colour profile is no reason to refuse a picture.
  static const uint8_t ignored[] = "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0tIME";
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, ignored, sizeof ignored / 5);
  png_read_info(png, source->info);
  source->width = png_get_image_width(png, source->info);
  source->height = png_get_image_height(png, source->info);
  int has_alpha = (png_get_color_type(png, source->info) & PNG_COLOR_MASK_ALPHA)
    || png_get_valid(png, source->info, PNG_INFO_tRNS);
  source->channels = has_alpha ? 4 : 3;
  return 1;
}

/// Writes the pixels as RGB or RGBA of 8 bits to `pixels`, width * height * channels bytes, and reads to the end of the
/// file. Returns 0 and leaves a message on failure.
LATHE_PNG_CALL int lathe_png_read(lathe_png_source *source, uint8_t *pixels) {
  png_structp png = source->png;
  if (setjmp(png_jmpbuf(png))) return 0;
  png_set_expand(png);
  png_set_gray_to_rgb(png);
  png_set_scale_16(png);
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, source->info);
  size_t stride = (size_t)source->width * (size_t)source->channels;
  if (png_get_rowbytes(png, source->info) != stride) png_error(png, "the rows have an unexpected form");
  for (int pass = 0; pass < passes; pass++) {
    for (uint32_t row = 0; row < source->height; row++) png_read_row(png, pixels + row * stride, NULL);
  }
  png_read_end(png, source->info);
  return 1;
}

/// Points `texts` at the texts read so far, which live until the source is closed, and returns how many there are.
static inline int lathe_png_texts(lathe_png_source *source, png_textp *texts) {
  int count = 0;
  *texts = NULL;
  png_get_text(source->png, source->info, texts, &count);
  return count;
}

// Writing

/// A PNG that is being written into memory. Zero before `lathe_png_begin`.
typedef struct {
  uint8_t *bytes;
  size_t count, capacity;
  png_structp png;
  png_infop info;
  char *message;
} lathe_png_sink;

static inline void lathe_png_put(png_structp png, png_bytep bytes, size_t count) {
  lathe_png_sink *sink = (lathe_png_sink *)png_get_io_ptr(png);
  if (count > sink->capacity - sink->count) {
    size_t capacity = sink->count + count;
    capacity += capacity / 2;
    uint8_t *larger = (uint8_t *)realloc(sink->bytes, capacity);
    if (!larger) png_error(png, "out of memory");
    sink->bytes = larger;
    sink->capacity = capacity;
  }
  memcpy(sink->bytes + sink->count, bytes, count);
  sink->count += count;
}

static inline void lathe_png_flush(png_structp png) { (void)png; }

static inline void lathe_png_end(lathe_png_sink *sink) {
  if (sink->png) png_destroy_write_struct(&sink->png, &sink->info);
  free(sink->bytes);
  free(sink->message);
}

/// Starts an RGB picture of 8 bits. Returns 0 and leaves a message on failure. End it in either case.
LATHE_PNG_CALL int lathe_png_begin(lathe_png_sink *sink, uint32_t width, uint32_t height, int level) {
  sink->message = (char *)calloc(1, LATHE_PNG_MESSAGE_SIZE);
  if (!sink->message) return 0;
  sink->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, sink->message, lathe_png_fail, lathe_png_warn);
  if (!sink->png) return 0;
  sink->info = png_create_info_struct(sink->png);
  if (!sink->info || setjmp(png_jmpbuf(sink->png))) return 0;
  png_structp png = sink->png;
  png_set_write_fn(png, sink, lathe_png_put, lathe_png_flush);
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_compression_level(png, level);
  png_set_compression_buffer_size(png, 1 << 16);
  png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_ALL_FILTERS);
  png_set_IHDR(png, sink->info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_BASE,
               PNG_FILTER_TYPE_BASE);
  return 1;
}

/// Adds a text: Latin-1 as tEXt, or UTF-8 as iTXt that is not compressed. Returns 0 and leaves a message on failure.
LATHE_PNG_CALL int lathe_png_add_text(lathe_png_sink *sink, const char *keyword, const char *text, int is_utf8) {
  if (setjmp(png_jmpbuf(sink->png))) return 0;
  png_text entry;
  memset(&entry, 0, sizeof entry);
  entry.compression = is_utf8 ? PNG_ITXT_COMPRESSION_NONE : PNG_TEXT_COMPRESSION_NONE;
  entry.key = (char *)keyword;
  entry.text = (char *)text;
  png_set_text(sink->png, sink->info, &entry, 1);
  return 1;
}

/// Writes everything: width * height * 3 bytes at `pixels`. Returns 0 and leaves a message on failure.
LATHE_PNG_CALL int lathe_png_write(lathe_png_sink *sink, const uint8_t *pixels) {
  png_structp png = sink->png;
  if (setjmp(png_jmpbuf(png))) return 0;
  png_write_info(png, sink->info);
  uint32_t height = png_get_image_height(png, sink->info);
  size_t stride = (size_t)png_get_image_width(png, sink->info) * 3;
  for (uint32_t row = 0; row < height; row++) png_write_row(png, pixels + row * stride);
  png_write_end(png, sink->info);
  return 1;
}
