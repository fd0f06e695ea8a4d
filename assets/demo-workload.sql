-- What the demo's application writes: transactions, each headed by "-- name, weight". {n} stands for a random number
-- from 0 to 999982, the same throughout one transaction.

-- a new order, 8
WITH placed AS (
    INSERT INTO shop.orders (customer_id) VALUES (1 + {n} % 2000) RETURNING id
)
INSERT INTO shop.order_items (order_id, line_no, product_id, quantity, unit_price)
SELECT placed.id, line, p.id, 1 + ({n} + line) % 5, p.price
FROM placed
CROSS JOIN generate_series(1, 1 + {n} % 3) AS line
JOIN shop.products AS p ON p.id = 1 + ({n} * line) % 200;
UPDATE shop.orders SET total = (SELECT sum(amount) FROM shop.order_items WHERE order_id = orders.id)
WHERE id = currval('shop.orders_id_seq');
UPDATE shop."Stock Levels" SET "onHand" = "onHand" - 1 WHERE "Warehouse" = 'Nord' AND product_id = 1 + {n} % 200;
INSERT INTO billing.invoices (order_id, number, amount)
SELECT id, format('INV-%s', lpad(id::text, 6, '0')), total FROM shop.orders WHERE id = currval('shop.orders_id_seq');

-- a payment, 6
WITH paid AS (
    UPDATE shop.orders SET status = 'paid'
    WHERE id = (SELECT max(id) - {n} % 40 FROM shop.orders) AND status = 'placed'
    RETURNING id
)
INSERT INTO billing.payments (id, invoice_id, amount, paid_at, method)
SELECT nextval('billing.payment_numbers'), i.id, i.amount, now(), 'card'
FROM paid JOIN billing.invoices AS i ON i.order_id = paid.id;

-- a changed address, 4
UPDATE shop.customers SET address = jsonb_build_object('city', 'City {n}', 'moved', now()), tags = array_append(tags[1:3], 'moved')
WHERE id = 1 + {n} % 2000;

-- a new customer, 2
INSERT INTO shop.customers (email, name, address)
VALUES (format('new%s@example.com', nextval('shop.customers_id_seq')), 'New Customer {n}', NULL);

-- a printed document, its body untouched, 4
UPDATE shop.documents SET printed = printed + 1 WHERE id = md5('document ' || 1 + {n} % 300)::uuid;

-- a rewritten document, 1
UPDATE shop.documents SET body = repeat(md5('{n}'), 100 + {n} % 300) WHERE id = md5('document ' || 1 + {n} % 300)::uuid;

-- page views, 6
INSERT INTO shop.page_views (visitor, path) VALUES ('v' || {n} % 500, '/'), ('v' || {n} % 500, '/product/' || {n} % 200);

-- the end of a visit, 3
UPDATE shop.page_views SET seconds = {n} % 90 WHERE visitor = 'v' || {n} % 500 AND seconds IS NULL;

-- forgotten visitors, 1
DELETE FROM shop.page_views WHERE visitor = 'v' || {n} % 500;

-- a cart, 4
INSERT INTO shop.carts (customer_id, product_ids) VALUES (1 + {n} % 2000, ARRAY[1 + {n} % 200, NULL, 7]);

-- all carts thrown away, 1
TRUNCATE shop.carts;

-- stock moved to another key, 1
UPDATE shop."Stock Levels" SET "Warehouse" = CASE "Warehouse" WHEN 'Süd' THEN 'Ost' ELSE 'Süd' END
WHERE "Warehouse" <> 'Nord' AND product_id = 1 + {n} % 200;

-- a payment that was booked in the wrong year, 1
UPDATE billing.payments SET paid_at = paid_at + interval '1 year'
WHERE id = (SELECT min(id) FROM billing.payments WHERE id > {n} % 3000) AND paid_at < '2026-01-01 00:00+00';

-- a cancelled order, 2
WITH victim AS (
    SELECT id FROM shop.orders WHERE id > {n} % 4000 ORDER BY id LIMIT 1
), unpaid AS (
    DELETE FROM billing.payments WHERE invoice_id IN (SELECT i.id FROM billing.invoices AS i JOIN victim ON victim.id = i.order_id)
)
DELETE FROM billing.invoices WHERE order_id IN (SELECT id FROM victim);
DELETE FROM shop.orders WHERE id = (SELECT id FROM shop.orders WHERE id > {n} % 4000 ORDER BY id LIMIT 1);

-- a price list, 1
UPDATE shop.products SET price = price + 0.01 WHERE id % 20 = {n} % 20;

-- a transaction that is given up, 1
BEGIN;
INSERT INTO shop.carts (customer_id, product_ids) SELECT 1, ARRAY[n] FROM generate_series(1, 20) AS n;
ROLLBACK;
