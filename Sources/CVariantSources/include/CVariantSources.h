/* SPDX-License-Identifier: GPL-2.0-only */
/* The texts of all variants that this executable was built from: a fixture says which it was recorded with. */
#ifndef MMDIFF_CVARIANTSOURCES_H
#define MMDIFF_CVARIANTSOURCES_H

#include <stddef.h>

struct variant_source {
	/* below Variants/ */
	const char *path;
	const unsigned char *text;
	size_t size;
};

/* In the order of their paths. */
size_t number_of_variant_sources(void);
struct variant_source variant_source(size_t number);

#endif
