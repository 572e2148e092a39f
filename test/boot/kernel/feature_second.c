// SPDX-License-Identifier: GPL-2.0
/* Needs a symbol of feature_first; /sys/module/feature_second/parameters/answer is what that returned. */
#include <linux/module.h>

int feature_first_answer(void);

static int answer;
module_param(answer, int, 0444);

static int __init feature_second_init(void)
{
	answer = feature_first_answer();
	return 0;
}

static void __exit feature_second_exit(void)
{
}

module_init(feature_second_init);
module_exit(feature_second_exit);
MODULE_DESCRIPTION("Test module of hostext");
MODULE_LICENSE("GPL");
