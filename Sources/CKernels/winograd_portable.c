#define WIDTH 4
#define HEIGHT 6
#define ITEM winograd_item_portable
#include "winograd_body.h"
