%% A row of the table of sessions: one client process.
-record(session, {
    number :: pos_integer() | '_' | '$1',
    pid :: pid() | '_',
    %% What stands in for it while subscriptions catch up.
    gate = undefined :: undefined | pid() | '_' | '$1',
    client_id :: binary() | '_' | '$2',
    is_resumed = false :: boolean() | '_',
    %% The server made up the client id.
    is_assigned = false :: boolean() | '_',
    %% The session outlives the connection.
    outlives = false :: boolean() | '_',
    is_away = false :: boolean() | '_',
    version = 4 :: byte() | '_',
    receive_maximum = 65535 :: 1..65535 | '_',
    %% 0: none
    maximum_packet = 0 :: non_neg_integer() | '_',
    %% ms since the epoch
    at = 0 :: non_neg_integer() | '_'
}).
