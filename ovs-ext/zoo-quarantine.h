/*
 * Copyright (c) 2026 The ovs-zoo authors.
 *
 * Licensed under the Apache License, Version 2.0 (the "License");
 * you may not use this file except in compliance with the License.
 * You may obtain a copy of the License at:
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS,
 * WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
 * See the License for the specific language governing permissions and
 * limitations under the License.
 */

#ifndef ZOO_QUARANTINE_H
#define ZOO_QUARANTINE_H 1

/* Waiting until no datapath flow carries something any more
 * =========================================================
 *
 * What translation puts into datapath flows (a slot number, for one) outlives
 * its removal from translation's tables: translations under way may still
 * install it, and flows keep it until they are revalidated.  A quarantined
 * item is released after
 *
 *     1. an RCU grace period, so that no translation under way has seen it;
 *
 *     2. revalidators have visited every datapath flow since;
 *
 *     3. another grace period, for packets that are being processed with
 *        former actions. */

/* Any thread: releases 'aux' by 'release(aux)', in any thread, when no
 * datapath flow can carry what it stands for.  Translation must not be able to
 * find it any more. */
void zoo_quarantine_add(void (*release)(void *aux), void *aux);

/* Any thread: has all datapath flows translated again. */
void zoo_quarantine_revalidate(void);

/* Main thread, from its loop. */
void zoo_quarantine_run(void);
void zoo_quarantine_wait(void);

#endif /* zoo-quarantine.h */
