// SPDX-License-Identifier: GPL-2.0
/* A driver for QEMU's `edu` device; Linux has none. /sys/module/feature_first/parameters/bound counts devices. */
#include <linux/module.h>
#include <linux/pci.h>

static int bound;
module_param(bound, int, 0444);

/* For feature_second. */
int feature_first_answer(void)
{
	return 42;
}
EXPORT_SYMBOL_GPL(feature_first_answer);

static int feature_probe(struct pci_dev *device, const struct pci_device_id *id)
{
	bound++;
	return 0;
}

static void feature_remove(struct pci_dev *device)
{
	bound--;
}

static const struct pci_device_id feature_ids[] = { { PCI_DEVICE(0x1234, 0x11e8) }, {} };
MODULE_DEVICE_TABLE(pci, feature_ids);

static struct pci_driver feature_driver = {
	.name = "feature_first",
	.id_table = feature_ids,
	.probe = feature_probe,
	.remove = feature_remove,
};
module_pci_driver(feature_driver);
MODULE_DESCRIPTION("Test driver of hostext");
MODULE_LICENSE("GPL");
